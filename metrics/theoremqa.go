package metrics

import (
	"cmp"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// TheoremQA compares as TheoremQA's own evaluation does (arXiv 2305.12524,
// number_utils): a whole number by the rounded value, a decimal within 4 %,
// lists sorted and one by one, True and False also as yes and no, options by
// letter. The answer is the gold value as Python prints it: 3, 0.5, [1, 2], True,
// (a). What is compared is the line after the last "answer is" (or "answer:",
// "answers are"), or what stands in the last \boxed{}, or else the end of the
// text. The official evaluation runs it as Python code and through sympy; here it
// is arithmetic (see evaluate).
func TheoremQA(prediction, answer string) float64 {
	text, told := theoremAnswer(prediction)
	var right bool
	switch {
	case strings.EqualFold(text, answer):
		right = true
	case option.MatchString(answer):
		right = theoremOption(lower(text), told) == lower(answer)
	case answer == "True" || answer == "False":
		word := lower(oneOf(truth, text, told))
		right = word != "" && (word == "true" || word == "yes") == (answer == "True")
	case strings.HasPrefix(answer, "[") && strings.HasSuffix(answer, "]"):
		right = sameList(text, answer)
	default:
		x, ok := theoremValue(text, told)
		right = ok && sameNumber(x, answer)
	}
	if right {
		return 1
	}
	return 0
}

var (
	theoremTrigger = regexp.MustCompile(`(?i)answers?(?:\s+(?:is|are))?\s*:|answers?\s+(?:is|are)\b`)
	option         = regexp.MustCompile(`(?i)\([a-f]\)`)
	bareOption     = regexp.MustCompile(`^(?:option +)?([a-f])(?:[).:,]|$)`)
	truth          = regexp.MustCompile(`(?i)\b(?:true|yes|false|no)\b`)
	thousands      = regexp.MustCompile(`([0-9]),([0-9]{3})\b`)
	numeral        = regexp.MustCompile(`[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?`)
	listSeparator  = regexp.MustCompile(`,|;|\band\b`)
	noise          = strings.NewReplacer("$", "", "`", "", `\(`, "", `\)`, "", `\[`, "", `\]`, "", "¥", "", "°C", "", "°", "")
)

// theoremAnswer is the part of a prediction that answers. told says that the
// prediction marks it.
func theoremAnswer(text string) (part string, told bool) {
	if all := theoremTrigger.FindAllStringIndex(text, -1); len(all) > 0 {
		text, told = text[all[len(all)-1][1]:], true
	}
	if i := strings.LastIndex(text, `\boxed{`); i >= 0 {
		text, told = balanced(text[i+len(`\boxed{`):]), true
	}
	text = trim(noise.Replace(text))
	if told {
		text, _, _ = strings.Cut(text, "\n")
		text, _, _ = strings.Cut(text, ". ")
	}
	return strings.TrimLeft(strings.TrimRight(text, " \t\r.*:"), " \t\r*:"), told
}

// theoremOption is the option that a text in lower case names, "(a)" to "(f)".
func theoremOption(text string, told bool) string {
	if m := bareOption.FindStringSubmatch(text); m != nil && told {
		return "(" + m[1] + ")"
	}
	return oneOf(option, text, told)
}

// balanced is the text up to the brace that closes it.
func balanced(text string) string {
	depth := 0
	for i, r := range text {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth < 0 {
			return text[:i]
		}
	}
	return text
}

// oneOf is the first match in a marked answer, and the last in a whole text.
func oneOf(pattern *regexp.Regexp, text string, told bool) string {
	all := pattern.FindAllString(text, -1)
	switch {
	case len(all) == 0:
		return ""
	case told:
		return all[0]
	}
	return all[len(all)-1]
}

// theoremValue is the number that a text gives: what follows its last equals
// sign, or else its first number if the answer is marked and its last if not.
func theoremValue(text string, told bool) (float64, bool) {
	for _, sign := range []string{"=", "≈", "approximately"} {
		if i := strings.LastIndex(text, sign); i >= 0 {
			text, told = text[i+len(sign):], true
		}
	}
	// Twice, since the groups of 1,000,000 share digits.
	text = thousands.ReplaceAllString(thousands.ReplaceAllString(text, "$1$2"), "$1$2")
	text = plainArithmetic(text)
	if told {
		if x, ok := evaluate(text); ok {
			return x, true
		}
	}
	all := numeral.FindAllStringIndex(text, -1)
	if len(all) == 0 {
		return 0, false
	}
	at := all[len(all)-1][0]
	if told {
		at = all[0][0]
	}
	return evaluate(text[at:])
}

// sameNumber compares a value with a gold number of Python's.
func sameNumber(x float64, gold string) bool {
	want := goldNumber(gold)
	if !strings.ContainsAny(gold, ".en") {
		return math.RoundToEven(x) == want
	}
	margin := math.Abs(want) * 0.04
	return x >= want-margin && x <= want+margin
}

// goldNumber is a number of Python's; a text that is none equals nothing.
func goldNumber(gold string) float64 {
	x, err := strconv.ParseFloat(gold, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

// sameList compares the numbers of two lists in ascending order.
func sameList(text, gold string) bool {
	for _, brackets := range []string{"[]", "()", "{}"} {
		i, j := strings.Index(text, brackets[:1]), strings.LastIndex(text, brackets[1:])
		if i >= 0 && j > i && !strings.Contains(text[:i], `\`) {
			text = text[i+1 : j]
			break
		}
	}
	var got []float64
	for _, item := range listSeparator.Split(text, -1) {
		if trim(item) == "" {
			continue
		}
		x, ok := theoremValue(item, true)
		if !ok {
			return false
		}
		got = append(got, x)
	}
	want := strings.Split(strings.Trim(gold, "[]"), ", ")
	if len(got) != len(want) {
		return false
	}
	slices.Sort(got)
	slices.SortFunc(want, func(a, b string) int { return cmp.Compare(goldNumber(a), goldNumber(b)) })
	for i, x := range got {
		if !sameNumber(x, want[i]) {
			return false
		}
	}
	return true
}

// TheoremQAPaper follows ReFreeKV's evaluation (spec 6.4): the text after the last
// "answer" must hold the gold number, or the gold text. The answer is the gold
// value as Python prints it: 3, 0.5, [1, 2], True. Its oddities stay: only a
// lower-case "answer" cuts the text, and a gold text counts wherever it occurs,
// so 3 is found in "13 or 14" and True in "untrue". (Its extra rule that a text
// without brackets misses a gold list decides nothing: the gold text has them.)
func TheoremQAPaper(prediction, answer string) float64 {
	if !strings.Contains(lower(prediction), "answer") {
		return 0
	}
	text := prediction
	if i := strings.LastIndex(text, "answer"); i >= 0 {
		text = text[i+len("answer"):]
	}
	gold, found := numbers(answer), numbers(text)
	if len(gold) == 1 && len(found) == 1 {
		g, f := pythonValue(gold[0]), pythonValue(found[0])
		if g == nil || f == nil {
			return 0 // the evaluation stops with an error here
		}
		if g.Cmp(f) == 0 {
			return 1
		}
		if truncate(g).Cmp(truncate(f)) != 0 {
			return 0
		}
	}
	if strings.Contains(lower(text), lower(answer)) {
		return 1
	}
	return 0
}

// truncate drops the fraction.
func truncate(x *big.Rat) *big.Int { return new(big.Int).Quo(x.Num(), x.Denom()) }
