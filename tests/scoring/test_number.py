"""The last number of a text, and when two numbers are the same."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evalkit.scoring import canonical_number, final_number, same_number, stated_number
from tests.growth import takes_time_in_proportion

VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞↉"
# text: (the last number in it, the number that it is)
ALONE: dict[str, str | None] = {
    "": None,
    " ": None,
    ".": None,
    ",": None,
    "-": None,
    "$": None,
    "forty-two": None,
    "½": "0.5",
    "-¾": "-0.75",
    "3½": "3.5",
    "⅓": "1/3",
    "2⅔": "8/3",
    r"\frac{3}{4}": "0.75",
    r"-\dfrac{1}{3}": "-1/3",
    r"\tfrac12": "0.5",
    r"\frac{29}{1}": "29",
    "1 1/2": "1.5",
    "-1 1/2": "-1.5",
    "$2 3/4": "2.75",
    "1,250 1/2": "1250.5",
    r"1\frac{1}{2}": "1.5",
    r"-3\frac12": "-3.5",
    r"2 \dfrac{2}{3}": "8/3",
    "²": None,
    "0": "0",
    "-0": "0",
    "0.00": "0",
    "007": "7",
    "29.00": "29",
    "29.": "29",
    "2.50": "2.5",
    ".5": "0.5",
    "-.5": "-0.5",
    " 29\n": "29",
    "$1,250.50": "1250.5",
    "1,250.": "1250",
    "1,000,000": "1000000",
    "-1,000": "-1000",
    "-$5": "-5",
    "$-5": "-5",
    "$-1,000.00": "-1000",
    "€ 5": "5",
    "£5": "5",
    "25%": "25",
    "50 %": "50",
    "-12.5%": "-12.5",
    "3/4": "0.75",
    "-3/4": "-0.75",
    "6/3": "2",
    "2/6": "1/3",
    "-7/3": "-7/3",
    "1,000/3": "1000/3",
    "−29": "-29",
    "–29": "-29",
    "－29": "-29",
    "﹣29": "-29",
    "−$5": "-5",
    "１２３": "123",
    "１,２５０.５": "1250.5",
    "٤٢": "42",
    "१२": "12",
    "𝟒𝟐": "42",
    "1\u202f250": "1250",
    "1\u00a0250\u00a0000": "1250000",
    "1\u2009250.75": "1250.75",
    "1{,}250": "1250",
    r"\$5": "5",
    r"50\%": "50",
    r"1,\!250": "1250",
}
WITHIN: dict[str, str | None] = {
    "no number": None,
    "The answer is 5.": "5",
    "The answer is 5.\n\nQ": "5",
    "**29**": "29",
    "**-29**": "-29",
    "**-$5**": "-5",
    "$\\boxed{42}$.": "42",
    r"\boxed{-42}": "-42",
    r"\boxed{1{,}250}": "1250",
    "#### 18": "18",
    "18 eggs and 3 more": "3",
    "(5)": "5",
    "(-5)": "-5",
    "x = -5": "-5",
    "x=-5": "-5",
    "Answer:-5": "-5",
    "US$5": "5",
    "+5": "5",
    "- 5": "5",
    "--5": "-5",
    # A minus behind a number, a word or a bracket takes away.
    "5-3": "3",
    "5-3=2": "2",
    "16 - 3 - 4 = 9": "9",
    "16 - 3 -4": "-4",
    "5 – 3": "3",
    "5–3": "3",
    "10%-5": "5",
    "(1+1)-5": "5",
    "apples-5": "5",
    "2024-01-02": "2",
    # A comma groups three digits or it parts two numbers.
    "1,2": "2",
    "1,25": "25",
    "1,2345": "2345",
    "12,345,67": "67",
    "1,250,": "1250",
    "1,250,5": "5",
    "3, 4, 5": "5",
    "1.250,50": "1250.5",
    "1.250": "1.25",
    "1.250.000": "1250000",
    "1.250,50 €": "1250.5",
    "1.250,5 km": "5",
    "(1.250,50)": "50",
    "1.250,505": "505",
    "12.50,50": "50",
    # A space or another mark groups three digits, never behind four digits.
    "12\u00a034": "34",
    "2024\u202f111": "111",
    "5 000": "5000",
    "5 000 000 people": "5000000",
    "in 1999 200 people": "200",
    "3 4": "4",
    "3 45": "45",
    "3 4567": "4567",
    "0 500": "500",
    "x2 500": "500",
    "1.5 500": "500",
    "5  000": "0",
    "5\n500": "500",
    "5 000/2": "2500",
    "2 250/300": "17/6",
    "3'000": "3000",
    "3’000": "3000",
    "3'000 000": "0",
    "5'11": "11",
    "3_000": "3000",
    "3~000": "3000",
    "3 000,50 €": "3000.5",
    "3 000, 50": "50",
    r"$\boxed{3\,000}$": "3000",
    r"12\;345\;678": "12345678",
    r"3\ 000": "3000",
    r"3\:000": "3000",
    r"3{\,}000": "3000",
    r"12\,\text{cm}": "12",
    "１，２５０": "1250",
    "١٬٢٥٠": "1250",
    # A slash makes a fraction of two numbers, not of three.
    "12/25/2024": "2024",
    "1/2/3": "3",
    "1/0": "0",
    "12 1/2/3": "3",
    "1 5/3": "5/3",
    "1 1/0": "0",
    "3/4 1/2": "0.5",
    "1.5 1/2": "0.5",
    "3 / 4": "4",
    "1/2.5": "2.5",
    "5 km/h": "5",
    "It is 3/4.": "0.75",
    "3/4, or 1/12.": "1/12",
    # A point belongs to what stands behind it.
    "v1.2": "1.2",
    "3.14.15": "15",
    "0...5": "0.5",
    "10:30": "30",
    # Powers of ten are written out.
    "1e3": "1000",
    "1.5e-3": "0.0015",
    "1.5E+03.": "1500",
    "-1.5e3": "-1500",
    "1,250e2": "125000",
    "1e101": "101",
    "3e": "3",
    "1.5 × 10^3": "1500",
    "1.5 x 10^{3}": "1500",
    "1.5 × 10³": "1500",
    "2.5 × 10⁻³": "0.0025",
    r"$1.5 \times 10^{3}$": "1500",
    r"1.5\cdot10^3": "1500",
    "1.5*10**3": "1500",
    "3 × 10^2 = 300": "300",
    "3 × 10": "10",
    "10^6": "1000000",
    "10**6**": "6",
    # The power of a unit is no number.
    "42 cm^2": "42",
    "42 cm^{2}.": "42",
    "42 m³": "42",
    "42 m2": "42",
    "42 km2.": "42",
    "42 cm**2": "42",
    "42 cm<sup>2</sup>": "42",
    "9.8 m s^{-2}": "9.8",
    r"$42\text{ m}^3$": "42",
    r"$42\,\mathrm{cm}^{2}$": "42",
    "42 (cm)^2": "42",
    "42 m2.5": "2.5",
    "x^2": "2",
    "It is **42**": "42",
    "It is **42** cm**2**": "2",
    # Brackets behind a minus, and the word.
    "-(42)": "-42",
    "−(1,250.5)": "-1250.5",
    "-[$42]": "-42",
    "5-(3)": "3",
    "(1)-(3)": "3",
    "negative 5": "-5",
    "It is not negative. 5": "5",
    "2²": "2",
    "1,250½": "1250.5",
    "2.5½": "2.5",
    r"\frac{1}{0}": "0",
    r"x^2\frac{1}{2}": "0.5",
    r"2\frac{5}{3}": "5/3",
    r"\frac{1}{2}\frac{1}{3}": "1/3",
    r"\frac123": "123",
    r"\frac{-3}{4}": "-0.75",
    r"\frac{18.5}{2}": "9.25",
    r"3\frac{1.5}{2}": "0.75",
    r"\frac{1,000}{4}": "250",
    r"\cfrac{ 3 }{ 4 }": "0.75",
    "3⁄4": "0.75",
    # Nor are indices of formulas, marks of sources, and addresses.
    "12 g of H2O": "12",
    "12 kg CO2.": "12",
    "12 t CO2e": "12",
    "12 mol Ca(OH)2 or H2SO4": "12",
    "12 l O2": "12",
    "PHP50": "50",
    "CHF12": "12",
    "SOS20": "20",
    "P2": "2",
    "x12": "12",
    "H1N1": "1",
    "CO2": "2",
    "12 [1]": "12",
    "12[3, 4].": "12",
    "12 [1]\n": "12",
    "It is [12].": "12",
    "12 [34] 5 [6] 7": "7",
    "12 [345]": "345",
    "12[^3]": "12",
    "12 people^[3] or so": "12",
    "12 ([here](https://example.org/a/34))": "12",
    "12 (http://example.org/34)": "12",
    # Powers of units behind a slash, "per" or a bracket.
    "12 m/s2": "12",
    "12 kg/m3": "12",
    "12 people per km2": "12",
    "12 square feet (ft2)": "12",
    "12 hm2": "12",
    "12 pm2": "2",
    # Cents behind a comma, with the currency of a country that writes them so.
    "12,50 €": "12.5",
    "€12,50": "12.5",
    "€ 12,50.": "12.5",
    "12,50 EUR": "12.5",
    "12,50 euros": "12.5",
    "12,50 zł": "12.5",
    "12,50 $": "50",
    "12,5 €": "5",
    "€12,500": "12500",
    "€12,50,60": "60",
    "1,12,50 €": "50",
    "3{,}14": "3.14",
    "3{,}141": "3141",
    "1{,}25{,}000": "25000",
    # Groups as in India, with its currency.
    "₹1,23,456": "123456",
    "Rs. 12,34,567.50": "1234567.5",
    "INR 1,00,000": "100000",
    "1,23,456": "23456",
    "₹1,23,45": "45",
    # A minus apart from its number, and other signs.
    "x = - 5": "-5",
    r"\boxed{- 5}": "-5",
    "(- $5)": "-5",
    "It is - 5": "5",
    "It is minus 5": "-5",
    "x = minus 5": "-5",
    "7 minus 5": "5",
    "➖5": "-5",
    "1️⃣2️⃣": "12",
    "1．5": "1.5",
    "1.5 times 10^3": "1500",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 18.", "18"),
        ("The answer is 18", "18"),  # the harness's pattern reads 1
        ("The answer is 1,250.00.", "1250"),
        ("The answer is -3, I think", "-3"),
        ("The answer is 5. No, The answer is 6.", "5"),
        ("The answer is 5 and a half, 7", "5"),
        ("the answer is 5.", None),
        ("The answer is $5.", None),
        ("The answer is **5**.", None),
        ("The answer is −5.", None),
        ("The answer is ...", None),
        ("The answer is 1.2.3", None),
        ("5", None),
        ("", None),
    ],
)
def test_the_stated_number(text: str, number: str | None) -> None:
    assert stated_number(text) == number


@pytest.mark.parametrize(("text", "number"), ALONE.items())
def test_a_number_alone(text: str, number: str | None) -> None:
    assert canonical_number(text) == number
    assert final_number(text) == number


@pytest.mark.parametrize(("text", "number"), WITHIN.items())
def test_the_last_number_of_a_text(text: str, number: str | None) -> None:
    assert final_number(text) == number


@pytest.mark.parametrize(
    "text", ["5 apples", "5-3", "1,2", "1e", "1e101", "12/25/2024", "1/0", "--5", "**29**", "+5", "5,"]
)
def test_what_is_no_number_alone(text: str) -> None:
    assert canonical_number(text) is None


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("1,250.0", "1250", True),
        ("$5", "5", True),
        ("50%", "50", True),
        ("1/2", "0.5", True),
        ("2/6", "1/3", True),
        ("-0", "0", True),
        ("0.3333", "1/3", False),
        ("5", "-5", False),
        ("5", "5.0000000000000000000000000001", False),
        ("9007199254740993", "9007199254740992", False),  # equal as doubles
        ("5", "five", False),
        ("", "", False),
        ("no", "no", False),
    ],
)
def test_the_same_number(left: str, right: str, same: bool) -> None:
    assert same_number(left, right) is same
    assert same_number(right, left) is same


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12)


@settings(deadline=None)
@given(decimals)
def test_a_decimal_keeps_its_value_in_every_spelling(value: Decimal) -> None:
    canonical = canonical_number(f"{value:f}")
    assert canonical is not None
    assert Fraction(canonical) == Fraction(value)
    for spelled in (f"{value:,f}", f"{value:f}00", f"${value:,f}", f"{value:f}".replace("-", "−")):
        assert canonical_number(spelled) == canonical
        assert final_number(f"It is {spelled}.") == canonical


@settings(deadline=None)
@given(decimals, decimals)
def test_sameness_is_equality_of_value(left: Decimal, right: Decimal) -> None:
    one, other = f"{left:f}", f"{right:,f}"
    assert same_number(one, f"{left:,f}")
    assert same_number(one, other) is same_number(other, one) is (left == right)


@settings(deadline=None)
@given(st.integers(), st.integers(min_value=1))
def test_a_fraction_keeps_its_value(over: int, under: int) -> None:
    canonical = canonical_number(f"{over}/{under}")
    assert canonical is not None
    assert Fraction(canonical) == Fraction(over, under)


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,-−–$%/ \u202fe{}\\x", max_size=40))
def test_the_canonical_form_is_its_own(text: str) -> None:
    for found in (final_number(text), canonical_number(text)):
        if found is not None:
            assert canonical_number(found) == found == final_number(found)


@settings(deadline=None)
@given(st.text())
@example(".¼")
@example("It is done,½")
def test_no_text_raises(text: str) -> None:
    found = final_number(text)
    assert (found is None) is not any(c.isdecimal() or c in VULGAR for c in text)


@pytest.mark.parametrize("spelling", ["{0}", "-{0}", "0.{0}", "1/{0}", "{0}/7", "${0}%", "{0}.5"])
def test_ten_thousand_digits(spelling: str) -> None:
    """Beyond 200 digits a number is compared as it is written, which is quick and needs no conversion."""
    text = spelling.format("9" * 10_000)
    found = final_number(f"The answer is {text}.")
    assert found == text.strip("$%")
    assert same_number(text, found)
    assert not same_number(text, found.replace("9", "8", 1))


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["9", "1/", "-", "$ ", "9,", "−", ".", "9.", "{,}", "1\u202f111", "٤"])
def test_a_megabyte_takes_no_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    takes_time_in_proportion(final_number, text)
    takes_time_in_proportion(canonical_number, text)
