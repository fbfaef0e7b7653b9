package metrics

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

var signedNumber = regexp.MustCompile(`-?\d+(?:\.\d+)?`)

// goldGSM8K is the number behind "####", without commas.
func goldGSM8K(answer string) string {
	if _, after, ok := strings.Cut(answer, "####"); ok {
		answer = after
	}
	return strings.ReplaceAll(strings.TrimSpace(answer), ",", "")
}

// GSM8K compares the last number of a prediction with the gold number (arXiv
// 2110.14168), as numbers. The answer is GSM8K's own, with "#### 42" at its end.
func GSM8K(prediction, answer string) float64 {
	found := signedNumber.FindAllString(strings.ReplaceAll(prediction, ",", ""), -1)
	if len(found) == 0 {
		return 0
	}
	got, err1 := strconv.ParseFloat(found[len(found)-1], 64)
	want, err2 := strconv.ParseFloat(goldGSM8K(answer), 64)
	if err1 != nil || err2 != nil || got != want {
		return 0
	}
	return 1
}

// GSM8KPaper is the comparison of ReFreeKV's evaluation (spec 6.4): only what
// follows the last colon counts, and the last number there, printed as Python
// prints it, must equal the gold text, so "18.0" is wrong for 18.
func GSM8KPaper(prediction, answer string) float64 {
	text := lower(prediction)
	if i := strings.LastIndex(text, ":"); i >= 0 {
		text = text[i+1:]
	}
	found := signedNumber.FindAllString(strings.ReplaceAll(text, ",", ""), -1)
	if len(found) == 0 || pythonNumber(found[len(found)-1]) != goldGSM8K(answer) {
		return 0
	}
	return 1
}

// pythonNumber prints a number as Python prints int(s) or float(s).
func pythonNumber(s string) string {
	if strings.Contains(s, ".") {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return s
		}
		return PythonFloat(x)
	}
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return sign + s
}

// PythonFloat prints a float as Python's repr does: the shortest digits, with a
// point always, and an exponent below 1e-4 and from 1e16.
func PythonFloat(x float64) string {
	if size := math.Abs(x); x != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.ContainsAny(s, ".N") && !math.IsInf(x, 0) {
		s += ".0"
	}
	return s
}

// TheoremQA follows ReFreeKV's evaluation (spec 6.4): the text after the last
// "answer" must hold the gold number, or the gold text. The answer is the gold
// value as Python prints it: 3, 0.5, [1, 2], True.
func TheoremQA(prediction, answer string) float64 {
	if !strings.Contains(lower(prediction), "answer") {
		return 0
	}
	text := prediction
	if i := strings.LastIndex(text, "answer"); i >= 0 {
		text = text[i+len("answer"):]
	}
	gold, found := signedNumber.FindAllString(answer, -1), signedNumber.FindAllString(text, -1)
	if len(gold) == 1 && len(found) == 1 {
		g, err1 := strconv.ParseFloat(gold[0], 64)
		f, err2 := strconv.ParseFloat(found[0], 64)
		switch {
		case err1 != nil || err2 != nil:
		case g == f:
			return 1
		case math.Trunc(g) != math.Trunc(f):
			return 0
		}
	}
	if strings.HasPrefix(answer, "[") && strings.HasSuffix(answer, "]") && !strings.ContainsAny(text, "([") {
		return 0
	}
	if strings.Contains(lower(text), lower(answer)) {
		return 1
	}
	return 0
}

var digits = regexp.MustCompile(`\p{Nd}+`)

var paragraphNumber = regexp.MustCompile(`Paragraph (\p{Nd}+)`)

// Retrieval is the share of the numbers in a prediction that name the gold
// paragraph ("Paragraph 12"), LongBench's retrieval_score.
func Retrieval(prediction, answer string) float64 {
	gold := paragraphNumber.FindStringSubmatch(answer)
	if gold == nil {
		return 0
	}
	return Count(prediction, gold[1])
}

// Count is the share of the numbers in a prediction that are the gold number,
// LongBench's count_score.
func Count(prediction, answer string) float64 {
	found := digits.FindAllString(prediction, -1)
	if len(found) == 0 {
		return 0
	}
	right := 0
	for _, n := range found {
		if n == answer {
			right++
		}
	}
	return float64(right) / float64(len(found))
}
