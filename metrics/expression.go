package metrics

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// latexRewrites turn the LaTeX that answers are written in into plain arithmetic.
var latexRewrites = []rewrite{
	{regexp.MustCompile(`−`), "-"},
	{regexp.MustCompile(`\\(?:text|mathrm|mathbf)\{([^{}]*)\}`), " $1 "},
	{regexp.MustCompile(`\\(?:left|right|,|;|!|:| )`), " "},
	{regexp.MustCompile(`\\times|\\cdot|[×·]`), "*"},
	{regexp.MustCompile(`\\pi|π`), "pi"},
	{regexp.MustCompile(`([0-9)}]) +x +([0-9(])`), "$1*$2"},
	{regexp.MustCompile(`\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}`), "(($1)/($2))"},
	{regexp.MustCompile(`\\sqrt\{([^{}]*)\}`), "sqrt($1)"},
	// Once more, for a fraction or root within another.
	{regexp.MustCompile(`\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}`), "(($1)/($2))"},
	{regexp.MustCompile(`\\sqrt\{([^{}]*)\}`), "sqrt($1)"},
	{regexp.MustCompile(`\{`), "("},
	{regexp.MustCompile(`\}`), ")"},
	{regexp.MustCompile(`([0-9]) *(pi|sqrt)`), "$1*$2"},
	{regexp.MustCompile(`([0-9]) *%`), "$1/100"},
}

// plainArithmetic applies latexRewrites.
func plainArithmetic(text string) string {
	for _, r := range latexRewrites {
		text = r.pattern.ReplaceAllString(text, r.by)
	}
	return text
}

// evaluate is the value of the arithmetic expression that a text begins with:
// decimals, + - * / ^ **, parentheses, pi, sqrt, exp, log, ln, sin and cos. What
// follows it is ignored, so "3*10^8 m/s" is 3e8 and "5 m" is 5.
func evaluate(text string) (float64, bool) {
	return (&expression{rest: text}).sum()
}

// expression is what is left to read. A method that fails leaves rest as it was.
// Parentheses and powers are nested at most deepestNesting times.
type expression struct {
	rest  string
	depth int
}

const deepestNesting = 100

func (e *expression) sum() (float64, bool) { return e.chain("+-", e.product) }

func (e *expression) product() (float64, bool) { return e.chain("*/", e.signed) }

// chain reads operands with one-letter operators between them, as many as give
// finite values.
func (e *expression) chain(operators string, operand func() (float64, bool)) (float64, bool) {
	x, ok := operand()
	for ok {
		before := e.rest
		op := e.symbol(operators)
		y, more := 0.0, false
		if op != 0 {
			y, more = operand()
		}
		z := x
		switch op {
		case '+':
			z = x + y
		case '-':
			z = x - y
		case '*':
			z = x * y
		case '/':
			z = x / y
		}
		if !more || !finite(z) {
			e.rest = before
			break
		}
		x = z
	}
	return x, ok
}

// symbol reads one of some characters, and 0 if there is none; "**" is not "*".
func (e *expression) symbol(of string) byte {
	s := strings.TrimLeft(e.rest, " ")
	if s == "" || strings.IndexByte(of, s[0]) < 0 || strings.HasPrefix(s, "**") {
		return 0
	}
	e.rest = s[1:]
	return s[0]
}

func (e *expression) signed() (float64, bool) {
	before := e.rest
	sign := 1.0
	for op := e.symbol("+-"); op != 0; op = e.symbol("+-") {
		if op == '-' {
			sign = -sign
		}
	}
	x, ok := e.power()
	if !ok {
		e.rest = before
	}
	return sign * x, ok
}

func (e *expression) power() (float64, bool) {
	x, ok := e.atom()
	if !ok {
		return 0, false
	}
	before := e.rest
	s := strings.TrimLeft(before, " ")
	exponent, found := strings.CutPrefix(s, "**")
	if !found {
		exponent, found = strings.CutPrefix(s, "^")
	}
	if !found || e.depth == deepestNesting {
		return x, true
	}
	e.rest = exponent
	e.depth++
	y, ok := e.signed()
	e.depth--
	if z := math.Pow(x, y); ok && finite(z) {
		return z, true
	}
	e.rest = before
	return x, true
}

var (
	decimal   = regexp.MustCompile(`^ *((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)`)
	functions = map[string]func(float64) float64{
		"sqrt": math.Sqrt, "exp": math.Exp, "log": math.Log, "ln": math.Log, "sin": math.Sin, "cos": math.Cos,
	}
	name = regexp.MustCompile(`^ *([a-zA-Z]+)`)
)

func (e *expression) atom() (float64, bool) {
	if m := decimal.FindStringSubmatch(e.rest); m != nil {
		x, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, false
		}
		e.rest = e.rest[len(m[0]):]
		return x, true
	}
	before, apply := e.rest, func(x float64) float64 { return x }
	if m := name.FindStringSubmatch(e.rest); m != nil {
		e.rest = e.rest[len(m[0]):]
		if m[1] == "pi" {
			return math.Pi, true
		}
		if apply = functions[m[1]]; apply == nil {
			e.rest = before
			return 0, false
		}
	}
	if e.depth < deepestNesting && e.symbol("(") != 0 {
		e.depth++
		x, ok := e.sum()
		e.depth--
		if ok && e.symbol(")") != 0 && finite(apply(x)) {
			return apply(x), true
		}
	}
	e.rest = before
	return 0, false
}

func finite(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }
