"""The six disciplines of MMMU's 30 subjects (MMMU-Benchmark/MMMU at bb0b95a, mmmu/utils/data_utils.py)."""

from __future__ import annotations

DISCIPLINES = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine", "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Psychology", "Sociology"),
    "Tech and Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics", "Energy_and_Power",
        "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
SUBJECTS = tuple(sorted(subject for subjects in DISCIPLINES.values() for subject in subjects))
_DISCIPLINE_OF = {subject: name for name, subjects in DISCIPLINES.items() for subject in subjects}


def subject_of(record_id: str) -> str:
    """The subject in an id: Art_Theory for validation_Art_Theory_7. Raises `ValueError` if there is none."""
    subject = "_".join(record_id.split("_")[1:-1])
    if subject not in _DISCIPLINE_OF:
        raise ValueError(f"the id {record_id!r} does not contain a subject of MMMU")
    return subject


def discipline_of(subject: str) -> str:
    return _DISCIPLINE_OF[subject]
