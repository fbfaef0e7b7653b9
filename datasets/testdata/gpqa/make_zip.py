"""Makes gpqa.zip: GPQA's layout and columns with questions of our own, packed and
encrypted by Info-ZIP under GPQA's published password, and checks that Python's
zipfile reads it back.

    python make_zip.py          (needs zip 3.0)

streamed.zip is the same packed from a pipe, whose members carry their checksum
behind the content; stored.zip is not compressed.
"""
import csv
import pathlib
import subprocess
import tempfile
import zipfile

HERE = pathlib.Path(__file__).parent
PASSWORD = "deserted-untie-orchid"
COLUMNS = ["Record ID", "Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3", "High-level domain", "Subdomain"]

ROWS = [
    ["recA1", "A cart of 40 kg rolls at 2 m/s onto a frozen pond.\nWhat is its momentum?", "80 kg m/s", "20 kg m/s", "160 J", "40 kg m/s", "Physics", "Mechanics (made up)"],
    ["recB2", "Which of these, said \"twice\", is a palindrome?", "level", "lever", "revel; or, so", "label", "Biology", "Words (made up)"],
    ["recC3", "How many bridges cross the river Ünne?\n\n\n", "seven\n", "eight\n", "nine\n", "none\n", "Chemistry", "Rivers (made up)"],
]


def main():
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "dataset"
        data.mkdir()
        for name, rows in {"gpqa_main.csv": ROWS, "gpqa_diamond.csv": ROWS[:1], "license.txt": None}.items():
            with open(data / name, "w", newline="", encoding="utf-8") as f:
                if rows is None:
                    f.write("made up\n")
                else:
                    csv.writer(f).writerows([COLUMNS] + rows)
        for name, options in {"gpqa.zip": ["-r", "dataset"], "stored.zip": ["-0", "-r", "dataset"]}.items():
            (HERE / name).unlink(missing_ok=True)
            subprocess.run(["zip", "-q", "-P", PASSWORD, HERE / name, *options], cwd=folder, check=True)
        (HERE / "streamed.zip").unlink(missing_ok=True)
        content = (data / "gpqa_main.csv").read_bytes()
        packed = subprocess.run(["zip", "-q", "-P", PASSWORD, "-", "-"], input=content, stdout=subprocess.PIPE, check=True).stdout
        (HERE / "streamed.zip").write_bytes(packed)
        for name, member in {"gpqa.zip": "dataset/gpqa_main.csv", "stored.zip": "dataset/gpqa_main.csv", "streamed.zip": "-"}.items():
            with zipfile.ZipFile(HERE / name) as z:
                assert z.read(member, pwd=PASSWORD.encode()) == content, name


if __name__ == "__main__":
    main()
