package tokenizer

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// The template library does not read all of Jinja's expressions. What the
// templates of models use is written in ways that it reads:
//
//   - conditionals inside brackets, in a chain or without else, which it knows at
//     the top of a tag only: x if c else y → ((c) and [x] or [y])[0]. A list of
//     one element is true whatever the element is, and like the conditional this
//     evaluates only what is needed.
//   - methods of an expression in parentheses: (x).strip() → [x][0].strip()
//   - items counted from the end, of which it lacks the first: x[-2] → x[::-1][1]

// rewriteExpressions rewrites the expressions of all tags of a template.
func rewriteExpressions(source string) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(source, '{')
		if i < 0 || i+1 == len(source) {
			break
		}
		kind := source[i+1]
		end := map[byte]string{'{': "}}", '%': "%}", '#': "#}"}[kind]
		if end == "" {
			out.WriteString(source[:i+1])
			source = source[i+1:]
			continue
		}
		at := i + 2
		if at < len(source) && (source[at] == '-' || source[at] == '+') {
			at++
		}
		out.WriteString(source[:at])
		source = source[at:]
		if kind == '#' {
			n := strings.Index(source, end)
			if n < 0 {
				break
			}
			out.WriteString(source[:n])
			source = source[n:]
			continue
		}
		name := ""
		if kind == '%' {
			name = firstWord(source)
		}
		s := expressions{source: source, end: end, left: maxBrackets}
		// Of statements only set has a conditional of its own at the top: the
		// if of a loop is a filter.
		text, _, ok := s.group(kind == '{' || name == "set")
		if !ok {
			break // the library says what is wrong
		}
		out.WriteString(text)
		source = source[s.at:]
		if name == "raw" {
			n := max(strings.Index(source, "endraw"), 0)
			out.WriteString(source[:n])
			source = source[n:]
		}
	}
	out.WriteString(source)
	return out.String()
}

func firstWord(s string) string {
	s = strings.TrimLeftFunc(s, unicode.IsSpace)
	n := 0
	for n < len(s) && isNameByte(s[n]) {
		n++
	}
	return s[:n]
}

// expressions rewrites the expressions of one tag.
type expressions struct {
	source string // from the tag's beginning
	end    string // of the tag
	at     int
	depth  int // brackets that are open
	left   int // conditionals that may still be rewritten
}

// A keyword is an if or else in a part of an expression.
type keyword struct {
	at, end int
	isIf    bool
}

// group reads up to the bracket that closes the innermost open one, or to the end
// of the tag, and returns what it read, with its own conditionals rewritten if so
// asked; comma tells that it is more than one expression. It is not ok where the
// text ends before.
func (s *expressions) group(rewrite bool) (text string, comma, ok bool) {
	var done, part strings.Builder
	var keywords []keyword
	flush := func() {
		if rewrite {
			done.WriteString(s.conditional(part.String(), keywords))
		} else {
			done.WriteString(part.String())
		}
		part.Reset()
		keywords = keywords[:0]
	}
	for s.at < len(s.source) {
		rest := s.source[s.at:]
		c := rest[0]
		switch {
		case s.depth == 0 && strings.HasPrefix(strings.TrimLeft(rest, "-+"), s.end):
			flush()
			n := strings.Index(rest, s.end) + len(s.end)
			done.WriteString(rest[:n])
			s.at += n
			return done.String(), comma, true
		case c == '\'' || c == '"':
			n := quotedLength(rest)
			if n == 0 {
				return "", false, false
			}
			part.WriteString(rest[:n])
			s.at += n
		case strings.IndexByte(bracketOpen, c) >= 0:
			inner, ok := s.brackets(c)
			if !ok {
				return "", false, false
			}
			part.WriteString(inner)
		case strings.IndexByte(bracketClose, c) >= 0 && s.depth > 0:
			flush()
			done.WriteByte(c)
			s.at++
			s.depth--
			return done.String(), comma, true
		case c == ',' || c == ':' || c == '=' && !isComparison(s.source, s.at):
			flush()
			comma = comma || c == ','
			done.WriteByte(c)
			s.at++
		case isNameByte(c):
			n := 1
			for n < len(rest) && isNameByte(rest[n]) {
				n++
			}
			if word := rest[:n]; word == "if" || word == "else" {
				keywords = append(keywords, keyword{part.Len(), part.Len() + n, word == "if"})
			}
			part.WriteString(rest[:n])
			s.at += n
		default:
			part.WriteByte(c)
			s.at++
		}
	}
	return "", false, false
}

// fromEnd matches an index that counts from the end, with its bracket.
var fromEnd = regexp.MustCompile(`^\s*-0*([1-9]\d{0,8})\s*\]$`)

// brackets reads and rewrites an expression from its opening bracket to its
// closing one.
func (s *expressions) brackets(opening byte) (text string, ok bool) {
	afterValue := s.afterValue()
	s.at++
	s.depth++
	if s.depth > maxBrackets {
		return "", false
	}
	inner, comma, ok := s.group(true)
	if !ok {
		return "", false
	}
	index := fromEnd.FindStringSubmatch(inner)
	switch {
	case opening == '[' && afterValue && index != nil:
		n, err := strconv.Atoi(index[1])
		if err != nil { // the pattern lets no such number through
			return "", false
		}
		inner = "::-1][" + strconv.Itoa(n-1) + "]"
	case opening == '(' && !afterValue && !comma && strings.HasPrefix(s.source[s.at:], "."):
		return "[" + inner[:len(inner)-1] + "][0]", true
	}
	return string(opening) + inner, true
}

// afterValue tells that a bracket at this place calls or indexes what stands
// before it.
func (s *expressions) afterValue() bool {
	before := strings.TrimRightFunc(s.source[:s.at], unicode.IsSpace)
	n := len(before)
	for n > 0 && isNameByte(before[n-1]) {
		n--
	}
	switch before[n:] {
	case "":
		return n > 0 && strings.IndexByte(`)]}'"`, before[n-1]) >= 0
	case "and", "or", "not", "in", "is", "if", "elif", "else", "set":
		return false
	}
	return true
}

// conditional rewrites one part of an expression, whose keywords are given. What
// the library knows, and what is too much, stays as it is.
func (s *expressions) conditional(part string, keywords []keyword) string {
	if len(keywords) == 0 || !keywords[0].isIf || s.left == 0 || s.depth == 0 && len(keywords) == 2 {
		return part
	}
	s.left--
	value := part[:keywords[0].at]
	lead := value[:len(value)-len(strings.TrimLeftFunc(value, unicode.IsSpace))]
	condition, otherwise := part[keywords[0].end:], "''"
	if len(keywords) > 1 && !keywords[1].isIf {
		condition = part[keywords[0].end:keywords[1].at]
		after := keywords[1].end
		var rest []keyword
		for _, k := range keywords[2:] {
			rest = append(rest, keyword{k.at - after, k.end - after, k.isIf})
		}
		otherwise = part[after:]
		if len(rest) > 0 {
			s.depth++ // it comes to stand in brackets
			otherwise = s.conditional(otherwise, rest)
			s.depth--
		}
	}
	return lead + "((" + strings.TrimSpace(condition) + ") and [" + strings.TrimSpace(value) + "] or [" + strings.TrimSpace(otherwise) + "])[0] "
}

// isComparison tells that the = at i belongs to ==, !=, <= or >=.
func isComparison(s string, i int) bool {
	return i+1 < len(s) && s[i+1] == '=' || i > 0 && strings.IndexByte("=!<>", s[i-1]) >= 0
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quotedLength returns the length of the string literal that s begins with, 0 if
// it does not end.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return 0
}
