package metrics

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// number finds what ReFreeKV's evaluation takes for a number: an integer or a
// decimal, its sign with it, digits of any script. "1.2.3" holds 1.2 and .3.
var number = regexp.MustCompile(`[-+]?\p{Nd}*\.\p{Nd}+|[-+]?\p{Nd}+`)

func numbers(text string) []string { return number.FindAllString(text, -1) }

// asciiDigits writes the digits of all scripts as 0 to 9, as Python's int and
// float read them. The digits of a script stand in ten consecutive places from
// zero on, and Unicode's ranges of digits are made of whole scripts.
func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 {
			return r
		}
		for _, run := range unicode.Nd.R16 {
			if lo := rune(run.Lo); r >= lo && r <= rune(run.Hi) {
				return '0' + (r-lo)%10
			}
		}
		for _, run := range unicode.Nd.R32 {
			if lo := rune(run.Lo); r >= lo && r <= rune(run.Hi) {
				return '0' + (r-lo)%10
			}
		}
		return r
	}, s)
}

// pythonValue is the exact value of int(s), or of float(s) if there is a point.
// It is nil beyond the range of floats.
func pythonValue(s string) *big.Rat {
	s = asciiDigits(s)
	if strings.Contains(s, ".") {
		x, _ := strconv.ParseFloat(s, 64)
		return new(big.Rat).SetFloat64(x)
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil
	}
	return new(big.Rat).SetInt(n)
}

// pythonNumber prints a number as Python prints int(s), or float(s) if there is
// a point.
func pythonNumber(s string) string {
	s = asciiDigits(s)
	if strings.Contains(s, ".") {
		x, _ := strconv.ParseFloat(s, 64) // out of range: infinite, as in Python
		return PythonFloat(x)
	}
	sign := ""
	if s[0] == '-' {
		sign = "-"
	}
	if s = strings.TrimLeft(s, "+-0"); s == "" {
		return "0"
	}
	return sign + s
}

// PythonFloat prints a float as Python's repr does: the shortest digits, with a
// point or an exponent always, the latter below 1e-4 and from 1e16; inf, -inf
// and nan.
func PythonFloat(x float64) string {
	size := math.Abs(x)
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(x, 'f', -1, 64), "+"))
	case x != 0 && (size < 1e-4 || size >= 1e16):
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

var numberGSM8K = regexp.MustCompile(`####\s*(-?[0-9.]+)`)

// goldGSM8K is the number behind "####", without commas. A text without "####"
// is the number itself.
func goldGSM8K(answer string) string {
	answer = strings.ReplaceAll(answer, ",", "")
	if m := numberGSM8K.FindStringSubmatch(answer); m != nil {
		return m[1]
	}
	return trim(answer)
}

// GSM8K compares the last number of a prediction with the gold number (arXiv
// 2110.14168), as numbers, so "18.0" is right for 18. The answer is GSM8K's own,
// with "#### 42" at its end, or a bare number.
func GSM8K(prediction, answer string) float64 {
	found, gold := numbers(strings.ReplaceAll(prediction, ",", "")), numbers(goldGSM8K(answer))
	if len(found) == 0 || len(gold) == 0 {
		return 0
	}
	got, want := pythonValue(found[len(found)-1]), pythonValue(gold[0])
	if got == nil || want == nil || got.Cmp(want) != 0 {
		return 0
	}
	return 1
}

// GSM8KPaper is the comparison of ReFreeKV's evaluation (spec 6.4): only what
// follows the last colon counts, and the last number there, printed as Python
// prints it, must equal the gold text, so "18.0" is wrong for 18. (The
// evaluation lower-cases the text first, which changes no number.)
func GSM8KPaper(prediction, answer string) float64 {
	text := prediction[strings.LastIndex(prediction, ":")+1:]
	found := numbers(strings.ReplaceAll(text, ",", ""))
	if len(found) == 0 {
		return 0
	}
	return equal(pythonNumber(found[len(found)-1]), goldGSM8K(answer))
}

var digits = regexp.MustCompile(`\p{Nd}+`)

var paragraphNumber = regexp.MustCompile(`Paragraph (\p{Nd}+)`)

// Retrieval is the share of the numbers in a prediction that name the gold
// paragraph ("Paragraph 12"), LongBench's retrieval_score. An answer without
// such a number, on which the official program stops, scores 0.
func Retrieval(prediction, answer string) float64 {
	return retrieval(prediction, answer, paragraphNumber)
}

func retrieval(prediction, answer string, paragraph *regexp.Regexp) float64 {
	gold := paragraph.FindStringSubmatch(answer)
	if gold == nil {
		return 0
	}
	return Count(prediction, gold[1])
}

// Count is the share of the numbers in a prediction that are the gold number,
// LongBench's count_score. Numbers are runs of digits, compared as texts: "07"
// is not 7, and "1,234" is two numbers.
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
