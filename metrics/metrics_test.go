package metrics

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
		{"a b", "b a", "b"}, // a tie: the step is taken in the indexed sequence
		{"a b c", "a c", "a c"},
		{"a b c b", "b c a b", "b c b"},
		{"a", "b", ""},
	} {
		words := symbols{}
		ref, hyp := words.of(strings.Fields(c.ref)), words.of(strings.Fields(c.hyp))
		got := ""
		newLCSIndex(hyp).walk(ref, func(j int) { got = strings.Fields(c.hyp)[j] + " " + got })
		if diff := cmp.Diff(c.want, strings.TrimSpace(got)); diff != "" {
			t.Errorf("%q and %q (-want +got):\n%s", c.ref, c.hyp, diff)
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

func TestTheoremQAPaper(t *testing.T) {
	checkPairs(t, TheoremQAPaper, []pairCase{
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

func TestChoicePaper(t *testing.T) {
	checkPairs(t, ChoicePaper, []pairCase{
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

func TestTheoremQA(t *testing.T) {
	checkPairs(t, TheoremQA, []pairCase{
		{"right", "Therefore, the answer is 3.", "3", 1},
		{"no mark: the last number", "It is 2 or 3.", "3", 1},
		{"no mark: not the first", "It is 3 or 2.", "3", 0},
		{"capitals", "ANSWER IS 3", "3", 1},
		{"the last answer", "the answer is 5. No, the answer is 6", "5", 0},
		{"the gold number is not in another", "the answer is 13", "3", 0},
		{"a sentence after it", "the answer is 3. It is less than 5", "3", 1},
		{"a line after it", "the answer is:\n3\nProblem: 4", "3", 1},
		{"whole numbers are rounded", "the answer is 3.4", "3", 1},
		{"whole numbers are not within 4 %", "the answer is 103", "100", 0},
		{"halves to even", "the answer is 2.5", "2", 1},
		{"decimals within 4 %", "the answer is 1.039", "1.0", 1},
		{"decimals outside", "the answer is 1.05", "1.0", 0},
		{"negative decimals", "the answer is -1.03", "-1.0", 1},
		{"zero is exact", "the answer is 0.001", "0.0", 0},
		{"an exponent makes a decimal", "the answer is 1.02 \\times 10^{-5}", "1e-05", 1},
		{"a point first", "the answer is .5", "0.5", 1},
		{"thousands", "the answer is 1,234,567", "1234567", 1},
		{"units", "the answer is 5 m/s", "5", 1},
		{"dollars and degrees", "the answer is $5$ °C", "5", 1},
		{"after the equals sign", "the answer is x = 7", "7", 1},
		{"per cent", "the answer is 12%", "0.12", 1},
		{"fraction", "the answer is 3/4", "0.75", 1},
		{"LaTeX", `the answer is \(\frac{\sqrt{16}}{2}\)`, "2", 1},
		{"box", `so \boxed{\dfrac{1}{2}} follows, not 7`, "0.5", 1},
		{"box that is not closed", `so \boxed{0.5`, "0.5", 1},
		{"pi", `the answer is 2\pi`, "6.283", 1},
		{"minus sign", "the answer is −2", "-2", 1},
		{"a word for it", "the answer is about 5", "5", 1},
		{"list", "the answer is [1, 2]", "[1, 2]", 1},
		{"list without brackets", "the answer is 2 and 1", "[1, 2]", 1},
		{"list in parentheses", "the answer is (1,2)", "[1, 2]", 1},
		{"list of assignments", "the answer is x = 1.01, y = 2", "[2.0, 1.0]", 1},
		{"list too short", "the answer is [1]", "[1, 2]", 0},
		{"list too long", "the answer is [1, 2, 3]", "[1, 2]", 0},
		{"list of words", "the answer is [x, y]", "[1, 2]", 0},
		{"empty list", "the answer is []", "[]", 1},
		{"true", "the answer is yes.", "True", 1},
		{"not inside a word", "the answer is untrue", "True", 0},
		{"false", "the answer is false, not true", "False", 1},
		{"no mark: the last word", "false at first, but it is true", "True", 1},
		{"none is not no", "the answer is none", "False", 0},
		{"option", "The answer is (A)", "(a)", 1},
		{"option without parentheses", "The answer is b.", "(b)", 1},
		{"option with its text", "The answer is b) the second", "(b)", 1},
		{"article", "The answer is a dog", "(a)", 0},
		{"the first option", "The answer is (b), not (a)", "(a)", 0},
		{"a text", "The answer is Cayley", "cayley", 1},
		{"division by zero", "the answer is 1/0", "1", 1},
		{"unclosed", "the answer is ((((2", "2", 1},
		{"empty prediction", "", "3", 0},
		{"a mark and nothing", "the answer is", "3", 0},
	})
}

func TestEvaluate(t *testing.T) {
	for text, want := range map[string]float64{
		"2 + 3*4": 14, "(2+3)*4": 20, "2^3^2": 512, "-2**2": -4, "2**-1": 0.5, "--3": 3, "6/3/2": 1, "sqrt(9) m": 3,
		"ln(exp(2))": 2, "cos(0)+sin(0)": 1, "1e3": 1000, "3*": 3, "3 m": 3, "2 (3)": 2, "10^400": 10, "log(0)": math.NaN(), "e": math.NaN(), "()": math.NaN(),
		strings.Repeat("(", 99) + "1" + strings.Repeat(")", 99): 1,
	} {
		got, ok := evaluate(text)
		if !ok {
			got = math.NaN()
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(0, tolerance)); diff != "" {
			t.Errorf("%.40s (-want +got) %s", text, diff)
		}
	}
}

func TestChoice(t *testing.T) {
	checkPairs(t, Choice, []pairCase{
		{"the letter", "B", "B", 1},
		{"another letter", "B", "C", 0},
		{"lower case is no letter", "b", "B", 0},
		{"letters inside words do not count", "it is B, Dear", "B", 1},
		{"the letter and its text", "B: the Dark", "B", 1},
		{"bold", "**C**", "C", 1},
		{"the answer is", "Because A and B fail, the answer is (C)", "C", 1},
		{"the last answer", "the answer is A. No, the answer is D", "D", 1},
		{"answer and a colon", "Answer: C\nA and B fail", "C", 1},
		{"answer in capitals", "ANSWER: C or D", "C", 1},
		{"a word after answer", "The answer is Carbon, (B)", "B", 1},
		{"the first character", "B, not D", "B", 1},
		{"several in parentheses", "it is (B) or (C)", "B", 0},
		{"one in parentheses", "A is wrong: it is (B)", "A", 1}, // it begins with A
		{"one in parentheses later", "not A, it is (B)", "B", 1},
		{"several without", "either B or D", "B", 0},
		{"an article", "A cat says C", "C", 1},
		{"no article", "A is right", "A", 1},
		{"a letter of several bytes", "ÀB: C", "C", 1},
		{"Greek alpha", "Α", "A", 0},
		{"not UTF-8", "\xff\xfeB\xff", "B", 1},
		{"empty", "", "A", 0},
		{"both empty", "", "", 0},
	})
}

func TestFuzzRatioDifflib(t *testing.T) {
	checkPairs(t, FuzzRatioDifflib, []pairCase{
		{"equal", "abcd", "abcd", 1},
		{"both empty", "", "", 1},
		{"one empty", "", "x", 0},
		{"blocks, not a subsequence", "abcd", "abed", 0.75},
		{"the longest block comes first", "xaby ab", "ab xaby", 0.57}, // xaby, and what stands around it is crossed
		{"order matters", "tide", "diet", 0.25},
		{"and so it does", "diet", "tide", 0.5},
		{"characters, not bytes", "größe", "grösse", 0.73},
		{"up to 199 characters all begin a block", strings.Repeat("z", 10) + "a", strings.Repeat("ab", 99) + "c", 0.01},
		{"from 200 on frequent ones do not", strings.Repeat("z", 10) + "a", strings.Repeat("ab", 100), 0},
		{"but they extend one from where the texts begin", "aba", strings.Repeat("ab", 100) + "Xaba", 0.03},
		{"and one with a rare character", "Xaba", strings.Repeat("ab", 100) + "Xaba", 0.04},
	})
}

func TestBLEU(t *testing.T) {
	for _, c := range []struct {
		name, prediction string
		answers          []string
		want             float64
	}{
		{"identical", "one two three four", []string{"one two three four"}, 1},
		{"one word: order 1 only", "one", []string{"one"}, 1},
		{"too short", "one two three", []string{"one two three four five"}, math.Exp(1 - 5.0/3)},
		{"no common word", "a b", []string{"c d"}, 0},
		{"smoothed bigram", "a b", []string{"b a"}, math.Sqrt(1.0 / 2)},
		{"punctuation is a token", "yes.", []string{"yes ."}, 1},
		{"not within numbers", "1,000.5", []string{"1 , 000 . 5"}, 0},
		{"entities", "R&amp;D", []string{"R & D"}, 1},
		{"case counts", "Yes", []string{"yes"}, 0},
		{"clipped by the best answer", "a a", []string{"a", "a a"}, 1},
		{"no answers", "a", nil, 0},
		{"empty prediction", "", []string{"a"}, 0},
		{"both empty", "", []string{""}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := BLEU(c.prediction, c.answers); math.Abs(got-c.want) > tolerance {
				t.Errorf("BLEU(%q, %q) = %.12g, want %.12g", c.prediction, c.answers, got, c.want)
			}
		})
	}
	checkPairs(t, BLEUT5, []pairCase{
		{"identical", "one two three four", "one two three four", 1},
		{"fewer than four tokens", "one two three", "one two three", 0},
		{"symbols are tokens", "a+b c", "a + b c", 1},
		{"a full stop after a number stays", "in the year 1999.", "in the year 1999 .", math.Sqrt(math.Sqrt(3.0/4*2/3*1/2*1/2)) * math.Exp(1-5.0/4)},
	})
}

func TestRougeScore(t *testing.T) {
	plain := func(score func(p, a string, stem bool) float64) func(p, a string) float64 {
		return func(p, a string) float64 { return score(p, a, false) }
	}
	checkPairs(t, plain(RougeScoreL), []pairCase{
		{"identical", "one two", "one two", 1},
		{"case and punctuation do not count", "One, TWO!", "one two", 1},
		{"words count as often as they occur", "go go go", "go", 1.0 / 2},
		{"other scripts are blanks", "größe 東京", "gr e", 1},
		{"letters of other scripts that have ASCII ones in lower case", "\u212aelvin", "kelvin", 1},
		{"line breaks are blanks", "b\na", "a\nb", 1.0 / 2},
		{"no word", "!", "?", 0},
		{"both empty", "", "", 0},
	})
	checkPairs(t, plain(RougeScoreLsum), []pairCase{
		{"lines in any order", "b\na", "a\nb", 1},
		{"union over lines", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5", 2 * 0.4 * 0.8 / 1.2},
		{"no word twice", "a", "a\na", 2.0 / 3},
		{"ties step in the answer", "b a\nx", "a b\ny", 1.0 / 3},
		{"empty lines", "\n\na\n", "a", 1},
		{"both empty", "", "", 0},
	})
}

// TestNothing scores nothing at all: an empty text, no references.
func TestNothing(t *testing.T) {
	for _, m := range List() {
		for _, prediction := range []string{"", " \n", "x", "\xff"} {
			if got := m.Metric(prediction, Refs{}); got != 0 {
				t.Errorf("%s of %q without references = %g", m.Name, prediction, got)
			}
		}
		want := 0.0
		switch m.Name {
		case "exact", "code_sim", "code_sim_difflib", "coqa_f1", "contains", "string_match_part", "theoremqa":
			want = 1 // nothing is what is asked for
		}
		if got := m.Metric("", Refs{Answers: []string{""}}); got != want {
			t.Errorf("%s of nothing against nothing = %g, want %g", m.Name, got, want)
		}
	}
}

// TestMegabyte scores predictions of a megabyte against a long answer, in shapes
// that a table over all pairs of words or sentences would take minutes for. It
// fails by taking for ever.
func TestMegabyte(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	chance := newChance(1)
	words := func(n int, after string) string {
		var text strings.Builder
		for text.Len() < n {
			text.WriteString("w" + strconv.Itoa(chance.below(50000)) + after)
		}
		return text.String()
	}
	const size = 1 << 20
	for _, c := range []struct{ metrics, prediction, answer string }{
		{"rouge_score_l code_sim code_sim_difflib", words(size, " "), words(size/100, " ")},
		{"rouge_l qa_f1 bleu needle_recall classification", words(size, ". "), words(size/100, ". ")},
		{"rouge_score_lsum_stem", words(size, "\n"), words(size/100, "\n")},
		{"rouge_score_lsum rouge_l", strings.Repeat("the a\n", size/6), strings.Repeat("a the b\n", 1000)},
		{"gsm8k gsm8k_paper count", strings.Repeat("7", size), "7"},
		{"theoremqa theoremqa_paper", "the answer is " + strings.Repeat("(2^", size/3), "[1, 2]"},
		{"qa_f1_zh rouge_zh", strings.Repeat("北京大学的学生", size/21), strings.Repeat("上海的大学。", 300)},
	} {
		for name := range strings.FieldsSeq(c.metrics) {
			metric, ok := Get(name)
			if !ok {
				t.Fatalf("no metric %s", name)
			}
			if got := metric(c.prediction, Refs{Answers: []string{c.answer}, Classes: []string{"w1"}}); !(got >= 0 && got <= 1) {
				t.Errorf("%s = %g", name, got)
			}
		}
	}
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
		{"theoremqa_paper", "the answer is 2", Refs{Answers: []string{"1", "2"}}, 1},
		{"choice", "B", Refs{Answers: []string{"A", "B"}}, 1},
		{"choice_paper", "B", Refs{Answers: []string{"A", "B"}}, 1},
		{"qa_f1_zh", "北京的大学", Refs{Answers: []string{"上海", "北京"}}, 2 * (1.0 / 3) / (4.0 / 3)},
		{"rouge_zh", "北京的大学", Refs{Answers: []string{"上海", "北京"}}, rougeF(1.0/3, 1)},
		{"retrieval_zh", "段落3或段落4", Refs{Answers: []string{"段落5", "段落4"}}, 1.0 / 2},
		{"coqa_f1", "blue stone", Refs{Answers: []string{"red", "blue", "blue stone"}}, (1 + 1 + 2.0/3) / 3},
		{"coqa_f1", "blue stone", Refs{Answers: []string{"blue stone"}}, 1},
		{"coqa_f1", "the", Refs{Answers: []string{"", "x"}}, (0.0 + 1) / 2},
		{"rouge_score_1", "b", Refs{Answers: []string{"a", "b c"}}, 2.0 / 3},
		{"rouge_score_1", "running", Refs{Answers: []string{"runs"}}, 0},
		{"rouge_score_1_stem", "running", Refs{Answers: []string{"runs"}}, 1},
		{"rouge_score_2", "a b c", Refs{Answers: []string{"x", "a b d"}}, 1.0 / 2},
		{"rouge_score_2_stem", "running home", Refs{Answers: []string{"runs home"}}, 1},
		{"rouge_score_l", "a c b", Refs{Answers: []string{"a b"}}, 4.0 / 5},
		{"rouge_score_l_stem", "boats", Refs{Answers: []string{"Boat!"}}, 1},
		{"rouge_score_lsum", "b\na", Refs{Answers: []string{"a\nb"}}, 1},
		{"rouge_score_lsum_stem", "boats\na", Refs{Answers: []string{"a\nboat"}}, 1},
		{"bleu_t5", "one two three four", Refs{Answers: []string{"x", "one two three four"}}, 1},
		{"code_sim_difflib", "x = 1", Refs{Answers: []string{"y", "x = 1"}}, 1},
		{"string_match_part", "Red stones", Refs{Answers: []string{"blue", "red"}}, 1},
		{"string_match_part", "stones", Refs{Answers: []string{"blue", "red"}}, 0},
		{"needle_recall", "a Sandwich in the park", Refs{Answers: []string{"eat a sandwich in the park."}}, 4.0 / 6},
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
