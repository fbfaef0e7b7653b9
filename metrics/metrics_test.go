package metrics

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pairCase is a prediction, an answer and the score worked out by hand.
type pairCase struct {
	name, prediction, answer string
	want                     float64
}

func checkPairs(t *testing.T, metric func(prediction, answer string) float64, cases []pairCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := metric(c.prediction, c.answer); math.Abs(got-c.want) > tolerance {
				t.Errorf("%q against %q scores %.12g, want %.12g", c.prediction, c.answer, got, c.want)
			}
		})
	}
}

func TestF1(t *testing.T) {
	checkPairs(t, F1, []pairCase{
		{"two of three words", "blue river stone", "blue stone", 0.8}, // P 2/3, R 1
		{"words count as often as they occur", "no no no", "no", 0.5}, // P 1/3, R 1
		{"nothing in common", "a cat", "the dog", 0},
		{"case, articles and punctuation do not count", "The CAT, sat!", "a cat sat", 1},
		{"punctuation leaves no gap", "well-known", "well known", 0},
		{"an apostrophe leaves no gap", "don't", "dont", 1},
		{"an underscore is punctuation", "the_end", "theend", 1},
		{"only ASCII punctuation is deleted", "東京。", "東京", 0},
		{"an article before a combining mark is a word", "a\u0301 b", "\u0301 b", 1},
		{"an article inside a word stays", "another", "nother", 0},
		{"no-break space and separators split", "blue\u00a0river\x1fstone", "blue river stone", 1},
		{"zero width space does not split", "blue\u200briver", "blue river", 0},
		{"dotted I", "\u0130STANBUL", "i\u0307stanbul", 1},
		{"final sigma", "ΟΔΟΣ", "οδος", 1},
		{"both empty", "", "", 0},
		{"articles only", "the", "the", 0},
		{"punctuation only", "?!", "?!", 0},
	})
}

// rougeF is the F of precision and recall with the package's 1e-8.
func rougeF(p, r float64) float64 { return 2 * p * r / (p + r + 1e-8) }

func TestRougeL(t *testing.T) {
	long := func(n int) string { return "w" + strings.Repeat(" y", n) }
	checkPairs(t, RougeL, []pairCase{
		{"identical", "one two three", "one two three", 2 / (2 + 1e-8)},
		{"subsequence", "a b c d", "a c e", rougeF(2.0/4, 2.0/3)},
		{"case counts", "Blue", "blue", 0},
		{"a comma belongs to the word", "blue, red", "blue red", rougeF(1.0/2, 1.0/2)},
		{"distinct words", "go go go", "go", rougeF(1, 1)},
		{"union over sentences", "w1 w2 w6 w7 w8. w1 w3 w8 w9 w5", "w1 w2 w3 w4 w5", rougeF(4.0/8, 4.0/5)},
		{"ties step in the prediction", "b a. a", "a b", rougeF(1, 1)}, // b from the first pair, a from the second
		{"full stops inside words split", "U.S.A.", "U S A", rougeF(1.0, 1.0)},
		{"full stops in a row", "one.. two...", "one. two", rougeF(1, 1)},
		{"a blank piece is an empty word", "x. .y", "x. ", rougeF(2.0/3, 2.0/2)},
		{"blanks only", " ", "\n", rougeF(1, 1)},
		{"no prediction", "", "x", 0},
		{"no answer", "x", "", 0},
		{"full stops only", "...", "...", 0},
		{"longest walk", long(988), "w x", rougeF(1.0/2, 1.0/2)}, // 988 y, then x, then w: 990 steps
		{"a step too many for the recursion", long(989), "w x", 0},
		{"one long pair spoils the others", "w. " + long(989), "w x", 0},
		{"both sentences too long", long(1000), long(1000), 0},
	})
}

func TestCommonSubsequence(t *testing.T) {
	for _, c := range []struct{ ref, hyp, want string }{
		{"a b", "b a", "b"}, // a tie: the step is taken in the prediction
		{"a b c", "a c", "a c"},
		{"a b c b", "b c a b", "b c b"},
		{"a", "b", ""},
	} {
		reversed, ok := commonSubsequence(strings.Fields(c.ref), strings.Fields(c.hyp))
		var got []string
		for _, w := range reversed {
			got = append([]string{w}, got...)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" || !ok {
			t.Errorf("%q and %q (-want +got, ok %v):\n%s", c.ref, c.hyp, ok, diff)
		}
	}
}

func TestCodeSimilarity(t *testing.T) {
	checkPairs(t, CodeSimilarity, []pairCase{
		{"three of four letters", "abcd", "abed", 0.75},
		{"first line", "\n\nx = 1\ny = 2", "x = 1", 1},
		{"comments are passed over", "# note\n// note\nx = 1", "x = 1", 1},
		{"fences are passed over", "```python\nx = 1\n```", "x = 1", 1},
		{"a line with a comment at its end too", "x = 1 # one\ny = 1", "y = 1", 1},
		{"an empty line is a line", "a`b\n\ny", "y", 0},
		{"comments only", "# a\n// b", "x", 0},
		{"indentation counts", "    x", "x", 0.33}, // 2/6
		{"a carriage return counts", "x\r\ny", "x", 0.67},
		{"characters, not bytes", "größe", "grösse", 0.73}, // 8/11
		{"order counts", "ab", "ba", 0.5},
		{"both empty", "", "", 1},
		{"one empty", "", "x", 0},
		{"half a percent as the library rounds it", "s" + strings.Repeat("f", 39), "s" + strings.Repeat("t", 39), 0.03},
	})
}

func TestGSM8K(t *testing.T) {
	for _, c := range []struct {
		name, prediction, answer string
		standard, paper          float64
	}{
		{"right", "6 * 3 = 18. The answer is 18", "She has 6*3 = 18.\n#### 18", 1, 1},
		{"wrong", "The answer is 17.", "#### 18", 0, 0},
		{"only the last number counts", "It is 18, not 17", "#### 18", 0, 0},
		{"a float for an integer", "The answer is: 18.0", "#### 18", 1, 0},
		{"an integer for a float", "18", "#### 18.0", 1, 0},
		{"equal floats", "18.50", "#### 18.5", 1, 1},
		{"commas", "The answer is: $1,080.", "#### 1,080", 1, 1},
		{"commas and cents", "$1,080.00", "#### 1,080", 1, 0},
		{"paper: only after the last colon", "18 eggs: none", "#### 18", 1, 0},
		{"paper: before the last colon nothing counts", "17: 18", "#### 18", 1, 1},
		{"no digit before the point", "The answer is .5", "#### 0.5", 1, 1},
		{"two points", "0.5.7", "#### 0.7", 1, 1},
		{"signs", "+5", "#### 5", 1, 1},
		{"negative", "The answer is: -5", "#### -5", 1, 1},
		{"leading zeros", "007", "#### 7", 1, 1},
		{"minus zero", "-0", "#### 0", 1, 1},
		{"another script", "٤٢", "#### 42", 1, 1},
		{"superscripts are no digits", "5²", "#### 5", 1, 1},
		{"an exponent is two numbers", "1e5", "#### 5", 1, 1},
		{"a full stop at the end", "It is 18.", "#### 18", 1, 1},
		{"beyond the precision of floats", "9007199254740993", "#### 9007199254740992", 0, 0},
		{"beyond the range of floats", strings.Repeat("9", 400) + ".5", "#### 5", 0, 0},
		{"unit behind the gold number", "18", "#### 18 eggs", 1, 1},
		{"the first of several bare gold numbers", "3", "3 of 4", 1, 0},
		{"bare gold number", "18", " 18 ", 1, 1},
		{"no number", "none", "#### 18", 0, 0},
		{"no gold number", "18", "none", 0, 0},
		{"empty", "", "#### 18", 0, 0},
		{"both empty", "", "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := GSM8K(c.prediction, c.answer); got != c.standard {
				t.Errorf("GSM8K(%q, %q) = %g, want %g", c.prediction, c.answer, got, c.standard)
			}
			if got := GSM8KPaper(c.prediction, c.answer); got != c.paper {
				t.Errorf("GSM8KPaper(%q, %q) = %g, want %g", c.prediction, c.answer, got, c.paper)
			}
		})
	}
}

func TestPythonFloatTable(t *testing.T) {
	for want, x := range map[string]float64{
		"18.0": 18, "-0.0": math.Copysign(0, -1), "0.1": 0.1, "0.0001": 1e-4, "1e-05": 1e-5, "1.5e-07": 1.5e-7,
		"1000000000000000.0": 1e15, "1e+16": 1e16, "1.25e+100": 1.25e100, "5e-324": 5e-324,
		"inf": math.Inf(1), "-inf": math.Inf(-1), "nan": math.NaN(),
	} {
		if got := PythonFloat(x); got != want {
			t.Errorf("PythonFloat(%g) = %s, want %s", x, got, want)
		}
	}
}

func TestPythonNumber(t *testing.T) {
	for s, want := range map[string]string{
		"7": "7", "+7": "7", "-7": "-7", "-007": "-7", "000": "0", "-0": "0", "-0.0": "-0.0", ".5": "0.5", "+1.50": "1.5",
		"٤.٥": "4.5", "-१२": "-12", "123456789012345678901234567890": "123456789012345678901234567890",
		"12345678901234567.0": "1.2345678901234568e+16", strings.Repeat("9", 400) + ".0": "inf",
	} {
		if got := pythonNumber(s); got != want {
			t.Errorf("pythonNumber(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestTheoremQA(t *testing.T) {
	checkPairs(t, TheoremQA, []pairCase{
		{"right", "Therefore, the answer is 3.", "3", 1},
		{"the word answer is missing", "It is 3.", "3", 0},
		{"capitals: the whole text", "ANSWER 3", "3", 1},
		{"capitals do not cut", "4 is no ANSWER, 3 is", "3.0", 0}, // two numbers, and no text 3.0
		{"the last answer", "the answer is 5. No, the answer is 6", "5", 0},
		{"equal as numbers", "the answer is 4.50", "4.5", 1},
		{"float for an integer", "the answer is 3.0", "3", 1},
		{"another integer part", "the answer is 4", "3", 0},
		{"another fraction", "the answer is 3.7", "3.2", 0},
		{"gold text inside the number", "the answer is 3.7", "3", 1},
		{"gold text inside another number of two", "the answer is 13 or 14", "3", 1},
		{"integer parts are cut, not rounded", "the answer is -0.4, not .5", "-0.4", 1},
		{"minus a half and a half have one integer part", "the answer is -0.5", "0.5", 1}, // then 0.5 is found in -0.5
		{"beyond the precision of floats", "the answer is 9007199254740993", "9007199254740992", 0},
		{"beyond the range of floats", "the answer is 1" + strings.Repeat("0", 400) + ".5", "1", 0},
		{"another script", "the answer is ٣", "3", 1},
		{"list", "the answer is [1, 2]", "[1, 2]", 1},
		{"list without blank", "the answer is [1,2]", "[1, 2]", 0},
		{"list without brackets", "the answer is 1, 2", "[1, 2]", 0},
		{"list in parentheses", "the answer is (1, 2)", "[1, 2]", 0},
		{"one number in a list", "the answer is 7", "[7]", 1}, // equal numbers come first
		{"true", "the answer is true.", "True", 1},
		{"true inside a word", "the answer is untrue", "True", 1},
		{"false", "the answer is True", "False", 0},
		{"option", "The Answer (A)", "(a)", 1},
		{"empty prediction", "", "3", 0},
		{"empty gold text", "answer", "", 1},
	})
}

func TestChoice(t *testing.T) {
	checkPairs(t, Choice, []pairCase{
		{"the letter", "B", "B", 1},
		{"another letter", "B", "C", 0},
		{"the only letter", "it is C.", "C", 1},
		{"the same letter twice", "C, I say C", "C", 1},
		{"lower case is no letter", "b", "B", 0},
		{"letters inside words count", "it is B, Dear", "B", 0},
		{"several: the first character", "B, not D", "B", 1},
		{"several: the first character is another", "Answer: C", "C", 0},
		{"several: the first character, in a word", "Because: D", "D", 0},
		{"several: before the colon", "option B: Dark", "B", 1},
		{"several: before the first colon", "option B: x: Dark", "B", 1},
		{"several: another before the colon", "option B: Dark", "D", 0},
		{"several: two before the colon", "(B) or D: no", "B", 0},
		{"several: none before the colon", "so: B or D", "B", 0},
		{"several: no colon", "(B) or D", "B", 0},
		{"the first character is of several bytes", "ÀB: C", "B", 1},
		{"Greek alpha", "Α", "A", 0},
		{"no letter", "none", "A", 0},
		{"empty", "", "A", 0},
		{"both empty", "", "", 0},
		{"no such choice", "E", "E", 0},
	})
}

func TestClassification(t *testing.T) {
	for _, c := range []struct {
		name, prediction, answer string
		classes                  []string
		want                     float64
	}{
		{"the class", "Food", "Food", []string{"Food", "Date"}, 1},
		{"two classes", "Food or Date", "Food", []string{"Food", "Date"}, 1.0 / 2},
		{"another class", "Date", "Food", []string{"Food", "Date"}, 0},
		{"case counts", "food", "Food", []string{"Food"}, 0},
		{"no class", "", "Food", []string{"Food"}, 0},
		{"no classes", "Food", "Food", nil, 0},
		{"gold is not listed", "Food", "Food", []string{"Date"}, 0},
		{"a part of the gold name does not count", "Other location", "Other location", []string{"location", "Other location"}, 1},
		{"gold is a part of another", "Other location", "location", []string{"location", "Other location"}, 1.0 / 2},
		{"the name after a removed one is spared", "red green blue", "red green blue",
			[]string{"red", "green", "blue", "red green blue"}, 1.0 / 2}, // green stays
		{"all removed where others stand between", "red green Food blue", "red green Food blue",
			[]string{"red", "x", "red green Food blue", "blue"}, 1},
		{"a repeated name: the first one goes", "red green", "red green",
			[]string{"red", "green", "green", "red green"}, 1.0 / 2},
		{"gold listed twice", "x y", "x y", []string{"x y", "x", "x y", "x"}, 1.0 / 2},
		{"an empty class is a part of every name", "Food", "Food", []string{"", "Food"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			classes := append([]string(nil), c.classes...)
			if got := Classification(c.prediction, c.answer, c.classes); math.Abs(got-c.want) > tolerance {
				t.Errorf("Classification(%q, %q, %q) = %g, want %g", c.prediction, c.answer, c.classes, got, c.want)
			}
			if diff := cmp.Diff(classes, c.classes); diff != "" {
				t.Errorf("the caller's classes changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestRetrieval(t *testing.T) {
	checkPairs(t, Retrieval, []pairCase{
		{"the paragraph", "Paragraph 12", "Paragraph 12", 1},
		{"the number alone", "12.", "Paragraph 12", 1},
		{"half", "Paragraph 12 or 13", "Paragraph 12", 1.0 / 2},
		{"a third", "12, 13, 14", "Paragraph 12", 1.0 / 3},
		{"digits in a longer number", "Paragraph 112", "Paragraph 12", 0},
		{"compared as text", "Paragraph 012", "Paragraph 12", 0},
		{"the gold number is the first paragraph's", "2", "Paragraph 1, Paragraph 2", 0},
		{"another script", "Paragraph ١٢", "Paragraph ١٢", 1},
		{"superscript", "Paragraph 3²", "Paragraph 3", 1},
		{"no number", "the first", "Paragraph 1", 0},
		{"no gold paragraph", "12", "12", 0},
		{"empty", "", "Paragraph 1", 0},
	})
}

func TestCount(t *testing.T) {
	checkPairs(t, Count, []pairCase{
		{"right", "There are 7 paragraphs.", "7", 1},
		{"wrong", "There are 8 paragraphs.", "7", 0},
		{"half", "7 of 30", "7", 1.0 / 2},
		{"repeated", "7 7 8", "7", 2.0 / 3},
		{"compared as text", "07", "7", 0},
		{"a comma splits", "1,234", "234", 1.0 / 2},
		{"a point splits", "7.0", "7", 1.0 / 2},
		{"no number", "seven", "7", 0},
		{"empty", "", "", 0},
	})
}

func TestExact(t *testing.T) {
	checkPairs(t, Exact, []pairCase{
		{"equal", "blue", "blue", 1},
		{"blanks around", "\n blue\u00a0\x1f", "blue", 1},
		{"case", "Blue", "blue", 0},
		{"a full stop", "blue.", "blue", 0},
		{"both empty", " ", "", 1},
	})
}

func TestMetricsOverAnswers(t *testing.T) {
	for _, c := range []struct {
		metric, prediction string
		refs               Refs
		want               float64
	}{
		{"qa_f1", "blue stone", Refs{Answers: []string{"red", "blue", "blue stone"}}, 1},
		{"qa_f1", "blue stone", Refs{Answers: []string{"blue", "red"}}, 2.0 / 3},
		{"qa_f1", "blue", Refs{}, 0},
		{"rouge_l", "b", Refs{Answers: []string{"a", "b c"}}, rougeF(1, 1.0/2)},
		{"code_sim", "x = 1", Refs{Answers: []string{"y", "x = 1"}}, 1},
		{"gsm8k", "18.0", Refs{Answers: []string{"#### 17", "#### 18"}}, 1},
		{"gsm8k_paper", "18.0", Refs{Answers: []string{"#### 17", "#### 18"}}, 0},
		{"theoremqa", "the answer is 2", Refs{Answers: []string{"1", "2"}}, 1},
		{"choice", "B", Refs{Answers: []string{"A", "B"}}, 1},
		{"classification", "Food or Date", Refs{Answers: []string{"Human", "Date"}, Classes: []string{"Food", "Date", "Human"}}, 1.0 / 2},
		{"retrieval", "3 or 4", Refs{Answers: []string{"Paragraph 5", "Paragraph 4"}}, 1.0 / 2},
		{"count", "3", Refs{Answers: []string{"2", "3"}}, 1},
		{"exact", " b ", Refs{Answers: []string{"a", "b"}}, 1},
		{"contains", "Red and BLUE stones", Refs{Answers: []string{"red", "blue", "green", "stone"}}, 3.0 / 4},
		{"contains", "red", Refs{Answers: []string{"red"}}, 1},
		{"contains", "red", Refs{}, 0},
		{"contains", "", Refs{Answers: []string{"red", "blue"}}, 0},
		{"contains", "ο δρόμος ΟΔΟΣ", Refs{Answers: []string{"οδος"}}, 1},
	} {
		metric, ok := Get(c.metric)
		if !ok {
			t.Fatalf("no metric %s", c.metric)
		}
		if got := metric(c.prediction, c.refs); math.Abs(got-c.want) > tolerance {
			t.Errorf("%s of %q against %q = %.12g, want %.12g", c.metric, c.prediction, c.refs, got, c.want)
		}
	}
}

func TestRegistry(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range List() {
		if seen[m.Name] {
			t.Errorf("two metrics are called %s", m.Name)
		}
		seen[m.Name] = true
		if m.About == "" || m.Metric == nil {
			t.Errorf("%s lacks a description or a function", m.Name)
		}
		if _, ok := Get(m.Name); !ok {
			t.Errorf("Get does not find %s", m.Name)
		}
	}
	if _, ok := Get("no such metric"); ok {
		t.Error("Get finds a metric that does not exist")
	}
	List()[0] = Info{Name: "changed"}
	if List()[0].Name == "changed" {
		t.Error("a change of the list changes the registry")
	}
}
