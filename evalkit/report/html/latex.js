// What LaTeX's names mean: signs, functions, spaces, accents, fonts, tables and commands, for `mathml.js`.

const paired = text => new Map(text.trim().split(/\s+/).map(pair => {
  const at = pair.indexOf(':', 1);
  return [pair.slice(0, at), pair.slice(at + 1)];
}));
const TEX_LETTERS = paired(`alpha:α beta:β gamma:γ delta:δ epsilon:ϵ varepsilon:ε zeta:ζ eta:η theta:θ vartheta:ϑ iota:ι
  kappa:κ lambda:λ mu:μ nu:ν xi:ξ pi:π varpi:ϖ rho:ρ varrho:ϱ sigma:σ varsigma:ς tau:τ upsilon:υ phi:ϕ varphi:φ chi:χ
  psi:ψ omega:ω Gamma:Γ Delta:Δ Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ Upsilon:Υ Phi:Φ Psi:Ψ Omega:Ω infty:∞ ell:ℓ hbar:ℏ
  partial:∂ nabla:∇ emptyset:∅ varnothing:∅ aleph:ℵ Re:ℜ Im:ℑ imath:ı jmath:ȷ prime:′ angle:∠ measuredangle:∡ triangle:△
  square:□ Box:□ blacksquare:■ bigtriangleup:△ degree:° spadesuit:♠ heartsuit:♡ diamondsuit:♢ clubsuit:♣ checkmark:✓
  top:⊤ bot:⊥ ldots:… dots:… dotsc:… dotso:… cdots:⋯ dotsb:⋯ dotsm:⋯ vdots:⋮ ddots:⋱ surd:√ star:⋆ $:$ %:% #:# _:_ &:&
  pounds:£ S:§ wp:℘ complement:∁ blacktriangle:▲ lozenge:◊`);
const TEX_OPERATORS = paired(`cdot:⋅ times:× div:÷ pm:± mp:∓ ast:∗ circ:∘ bullet:∙ oplus:⊕ ominus:⊖ otimes:⊗ odot:⊙ le:≤ leq:≤
  leqslant:⩽ ge:≥ geq:≥ geqslant:⩾ ne:≠ neq:≠ lt:< gt:> ll:≪ gg:≫ approx:≈ equiv:≡ sim:∼ simeq:≃ cong:≅ propto:∝ in:∈
  notin:∉ ni:∋ subset:⊂ subseteq:⊆ subsetneq:⊊ supset:⊃ supseteq:⊇ cup:∪ cap:∩ setminus:∖ smallsetminus:∖ backslash:∖
  land:∧ wedge:∧ lor:∨ vee:∨ neg:¬ lnot:¬ forall:∀ exists:∃ nexists:∄ mid:∣ nmid:∤ vert:| lvert:| rvert:| Vert:‖ lVert:‖
  rVert:‖ |:‖ parallel:∥ nparallel:∦ perp:⊥ to:→ rightarrow:→ longrightarrow:⟶ leftarrow:← gets:← longleftarrow:⟵
  leftrightarrow:↔ Rightarrow:⇒ Longrightarrow:⟹ implies:⟹ Leftarrow:⇐ Leftrightarrow:⇔ Longleftrightarrow:⟺ iff:⟺
  mapsto:↦ uparrow:↑ downarrow:↓ therefore:∴ because:∵ lfloor:⌊ rfloor:⌋ lceil:⌈ rceil:⌉ langle:⟨ rangle:⟩ {:{ }:}
  lbrace:{ rbrace:} lbrack:[ rbrack:] colon:: models:⊨ vdash:⊢ prec:≺ succ:≻ doteq:≐ triangleq:≜ asymp:≍ amalg:⨿ cdotp:⋅`);
const TEX_LARGE = paired(`sum:∑ prod:∏ coprod:∐ bigcup:⋃ bigcap:⋂ bigoplus:⨁ bigotimes:⨂ bigvee:⋁ bigwedge:⋀ int:∫ iint:∬ iiint:∭ oint:∮`);
const TEX_FUNCTIONS = new Set(`sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp arg deg dim ker hom`.split(' '));
const TEX_LIMITS = new Set(`lim max min sup inf gcd det Pr limsup liminf`.split(' '));
const TEX_SPACES = paired(`,:.167 ;:.278 ::.222 !:-.167 quad:1 qquad:2 enspace:.5 thinspace:.167 medspace:.222 thickspace:.278`);
const TEX_OVER = paired(`bar:¯ hat:^ widehat:^ vec:→ overrightarrow:→ overleftarrow:← overleftrightarrow:↔ tilde:~
  widetilde:~ dot:˙ ddot:¨ overbrace:⏞ check:ˇ breve:˘ overarc:⌒`), TEX_UNDER = paired('underbrace:⏟');
const TEX_TEXTS = new Set('text mbox hbox textbf textit textrm textnormal textsf texttt emph operatorname operatorname*'.split(' '));
const TEX_FENCES = paired('pmatrix:() bmatrix:[] Bmatrix:{} vmatrix:|| Vmatrix:‖‖ cases:{. rcases:.}');
const TEX_TABLES = new Set(`matrix smallmatrix array aligned align align* alignedat split gathered gather gather* eqnarray eqnarray* equation equation*`.split(' '));
const TEX_FONTS = {  // the first code points of A, a and 0 in a font; letters that stand elsewhere
  mathbf: [0x1D400, 0x1D41A, 0x1D7CE], boldsymbol: [0x1D468, 0x1D482, 0x1D7CE], bm: [0x1D468, 0x1D482, 0x1D7CE],
  mathbb: [0x1D538, 0x1D552, 0x1D7D8, paired('C:ℂ H:ℍ N:ℕ P:ℙ Q:ℚ R:ℝ Z:ℤ')],
  mathcal: [0x1D49C, 0x1D4B6, 0, paired('B:ℬ E:ℰ F:ℱ H:ℋ I:ℐ L:ℒ M:ℳ R:ℛ e:ℯ g:ℊ o:ℴ')],
  mathfrak: [0x1D504, 0x1D51E, 0, paired('C:ℭ H:ℌ I:ℑ R:ℜ Z:ℨ')],
  mathsf: [0x1D5A0, 0x1D5BA, 0x1D7E2], mathtt: [0x1D670, 0x1D68A, 0x1D7F6], mathit: [0, 0, 0],
};
TEX_FONTS.mathscr = TEX_FONTS.mathcal;
TEX_FONTS.Bbb = TEX_FONTS.mathbb;

// Commands with arguments: functions from a `Formula`, which stands behind the name, to nodes.

const fraction = style => it => {
  const made = element('mfrac', {}, it.argument(), it.argument());
  return [style ? element('mstyle', {displaystyle: style}, made) : made];
};
const binomial = it => [element('mrow', {}, fenced('('), element('mfrac', {linethickness: '0'}, it.argument(), it.argument()), fenced(')'))];
const stacked = tag => it => { const [mark, base] = [it.argument(), it.argument()]; return [element(tag, {}, base, mark)]; };
const TEX_COMMANDS = {
  frac: fraction(''), dfrac: fraction('true'), cfrac: fraction('true'), tfrac: fraction('false'),
  binom: binomial, dbinom: binomial, tbinom: binomial,
  stackrel: stacked('mover'), overset: stacked('mover'), underset: stacked('munder'),
  sqrt: it => {
    const degree = it.option(), base = it.argument();
    return [degree ? element('mroot', {}, base, one(new Formula(degree, it.depth + 1).whole())) : element('msqrt', {}, base)];
  },
  overline: it => [element('mrow', {class: 'overlined'}, it.argument())],
  underline: it => [element('mrow', {class: 'underlined'}, it.argument())],
  boxed: it => [element('mrow', {class: 'boxed'}, it.argument())],
  fbox: it => [element('mrow', {class: 'boxed'}, it.words('text'))],
  phantom: it => [element('mphantom', {}, it.argument())],
  mathop: it => [Object.assign(element('mrow', {}, it.argument()), {limits: true})],
  textcolor: it => (it.raw(), [it.argument()]),
  bmod: () => [operator('mod', {lspace: '.25em', rspace: '.25em'})],
  mod: it => [element('mspace', {width: '1em'}), element('mtext', {}, 'mod\u00a0'), it.argument()],
  pmod: it => [element('mspace', {width: '.5em'}), tight('('), element('mtext', {}, 'mod\u00a0'), it.argument(), tight(')')],
  not: it => {
    const node = one(it.atom());
    if (node.localName !== 'mo') throw new NotUnderstood();
    return [operator(`${node.textContent}\u0338`)];
  },
  tag: it => [element('mspace', {width: '2em'}), tight('('), ...it.words('text'), tight(')')],
  label: it => (it.raw(), []),
  nonumber: () => [],
  left: it => {
    const nodes = [fenced(it.delimiter()), one(it.row())];
    while (it.peek() === '\\middle') nodes.push((it.next(), fenced(it.delimiter())), one(it.row()));
    it.expect('\\right');
    return [element('mrow', {}, nodes.flat(), fenced(it.delimiter()))];
  },
  big: (it, name) => {
    const size = `${{big: 1.2, bigg: 2.4}[name.toLowerCase().replace(/[lrm]$/, '')] * (name[0] === 'B' ? 1.5 : 1)}em`, text = it.delimiter();
    return text === '.' ? [] : [operator(text, {stretchy: 'true', minsize: size, maxsize: size, lspace: '0', rspace: '0'})];
  },
  begin: it => {
    const name = it.raw();
    if (!TEX_FENCES.has(name) && !TEX_TABLES.has(name)) throw new NotUnderstood();
    return it.table(name);
  },
};
