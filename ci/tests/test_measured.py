import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import measured

RECORDS = {
    "lookup": {
        "row": "lookup", "date": "2026-01-02", "machine": {"cpu": "a chip", "cores": 2, "caches": ["L1 32K", "L2 1M"], "rustc": "rustc 1", "load": "1.0"},
        "lines": [
            {"work": "fast", "unit": "ns", "ours": {"name": "ours", "values": [1, 2, 3]},
             "against": {"name": "table", "values": [4, 4, 4]}, "ratios": [0.25, 0.5, 0.75],
             "bar": "≤ 0.6", "met": True},
            {"work": "aside", "unit": "ns", "ours": {"name": "ours", "values": [1]},
             "against": {"name": "-", "values": []}, "ratios": [1], "bar": "-", "met": None},
        ],
        "figures": [{"work": "noted", "unit": "B", "series": {"name": "map", "values": [123.4]}}],
    }
}
TEXT = "before\n<!-- measured: {} -->\n<!-- measured: end -->\nafter\n"


class Measured(unittest.TestCase):
    def filled(self, what):
        return measured.fill(TEXT.format(what), RECORDS)

    def test_bars_are_the_comparisons_that_have_one(self):
        text = self.filled("bars")
        self.assertIn("| fast | 2.00 ns | table: 4.00 ns | 0.50 (0.25 to 0.75) | ≤ 0.6 | yes |", text)
        self.assertNotIn("aside", text)
        self.assertNotIn("noted", text)
        self.assertIn("2026-01-02: a chip, 2 cores, L1 32K, L2 1M, rustc 1.\n", text)

    def test_a_row_is_shown_with_all_that_it_has(self):
        text = self.filled("lookup")
        self.assertIn("| aside | 1.00 ns | - |", text)
        self.assertIn("| noted | map | 123 (123 to 123) B |", text)

    def test_what_is_filled_stays_as_it_is(self):
        text = self.filled("lookup")
        self.assertEqual(measured.fill(text, RECORDS), text)

    def test_a_row_without_a_record_is_told(self):
        with self.assertRaisesRegex(SystemExit, "no record of: other"):
            self.filled("other")


if __name__ == "__main__":
    unittest.main()
