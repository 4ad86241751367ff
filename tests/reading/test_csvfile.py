"""CSV files: rows by column name, faults with line numbers, and no formulas for spreadsheets."""

import pytest

from perfcore.reading.csvfile import Form, csv_text, read_rows

FORM = Form(
    columns=("name", "price", "note"), required=("name",), any_of=(), noun="rows", largest=2
)


def read(text):
    faults = []
    return list(read_rows("a.csv", text, FORM, faults)), faults


def test_rows_have_the_number_of_their_line():
    rows, faults = read('Name, PRICE\n\n"a\nb",1\n c \n')

    assert rows == [(3, {"name": "a\nb", "price": "1"}), (5, {"name": "c", "price": ""})]
    assert faults == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "a.csv: is empty; name the columns in the first line: name, price, note"),
        ("price\n1\n", "a.csv: line 1: column 'name' is missing; add it"),
        ("name,name\n", "a.csv: line 1: column 'name' appears twice; remove one"),
        ("name;price\n", "a.csv: line 1: cells are separated by ';'; save the file with commas"),
        (
            "name\na,b\n",
            "a.csv: line 2: 2 cells for 1 columns; put text with commas in quotes",
        ),
        ("name\na\nb\nc\n", "a.csv: has more than 2 rows; split the file"),
    ],
)
def test_faults_name_the_line_and_the_remedy(text, fault):
    assert read(text)[1] == [fault]


def test_text_that_opens_like_a_formula_comes_back_as_it_was():
    written = csv_text([["name", "price"], ["=1+1", -2.5], ["-7", None]])

    assert written == "name,price\n'=1+1,-2.5\n-7,\n"
    assert [row["name"] for _, row in read(written)[0]] == ["=1+1", "-7"]
