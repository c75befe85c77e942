Trajekt na ostrov odjíždí ve všední dny v 7:40.
Cestující s jízdními koly prosíme, aby nastoupili první.
Nikdo neví, kdo natřel starý maják na modro.
