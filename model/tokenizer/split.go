package tokenizer

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// Patterns of the pre-tokenizers that a GGUF file names and does not spell out.
const (
	gpt2Pattern   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// A piece is a part of the text on its way to becoming words.
type piece struct {
	text   string
	begins bool // it stands at the beginning of the whole input
}

// A splitter cuts one piece into smaller ones, in order, leaving out empty ones.
type splitter func(e *encoder, in piece, out []piece) []piece

// An encoder holds what one call of Encode uses again and again.
type encoder struct {
	pieces, spare []piece
	runes         []rune
}

// split runs all splitters over p. The result is good until the next call.
func (e *encoder) split(splitters []splitter, p piece) []piece {
	e.pieces = append(e.pieces[:0], p)
	for _, s := range splitters {
		e.spare = e.spare[:0]
		for _, p := range e.pieces {
			e.spare = s(e, p, e.spare)
		}
		e.pieces, e.spare = e.spare, e.pieces
	}
	return e.pieces
}

// A behavior says what becomes of the text that a pattern matches.
type behavior int

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

var behaviors = map[string]behavior{
	"Removed": removed, "Isolated": isolated, "MergedWithPrevious": mergedWithPrevious,
	"MergedWithNext": mergedWithNext, "Contiguous": contiguous,
}

// A span is a stretch of a text, in bytes, and whether the pattern matched it.
type span struct {
	from, to int
	match    bool
}

// cut cuts a piece at spans that cover it.
func cut(p piece, spans []span, how behavior, out []piece) []piece {
	if how == mergedWithPrevious || how == mergedWithNext || how == contiguous {
		spans = join(spans, how)
	}
	for _, s := range spans {
		if s.from == s.to || how == removed && s.match {
			continue
		}
		out = append(out, piece{p.text[s.from:s.to], p.begins && s.from == 0})
	}
	return out
}

// join merges neighbouring spans as how asks.
func join(spans []span, how behavior) []span {
	var out []span
	if how == mergedWithNext {
		previous := false
		for i := len(spans) - 1; i >= 0; i-- {
			s := spans[i]
			if s.match && !previous && len(out) > 0 {
				out[len(out)-1].from = s.from
			} else {
				out = append(out, s)
			}
			previous = s.match
		}
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
		return out
	}
	previous := false
	for _, s := range spans {
		merge := s.match && !previous
		if how == contiguous {
			merge = s.match == previous
		}
		if merge && len(out) > 0 {
			out[len(out)-1].to = s.to
		} else {
			out = append(out, s)
		}
		previous = s.match
	}
	return out
}

// splitPattern cuts at the matches of a regular expression; invert cuts at what
// lies between them.
func splitPattern(re *regexp2.Regexp, how behavior, invert bool) splitter {
	return func(e *encoder, in piece, out []piece) []piece {
		var spans []span
		last := 0
		add := func(from, to int, match bool) {
			if how == isolated {
				if from < to {
					out = append(out, piece{in.text[from:to], in.begins && from == 0})
				}
				return
			}
			spans = append(spans, span{from, to, match != invert})
		}
		e.each(re, in.text, func(from, to int) {
			if last < from {
				add(last, from, false)
			}
			add(from, to, true)
			last = to
		})
		if last < len(in.text) {
			add(last, len(in.text), false)
		}
		if how == isolated {
			return out
		}
		return cut(in, spans, how, out)
	}
}

// each calls match with the range, in bytes, of every match.
func (e *encoder) each(re *regexp2.Regexp, text string, match func(from, to int)) {
	e.runes = e.runes[:0]
	for _, r := range text {
		e.runes = append(e.runes, standIn(r))
	}
	done, bytes := 0, 0
	// advance turns a position in runes into one in bytes, walking along.
	advance := func(to int) int {
		for ; done < to; done++ {
			_, n := utf8.DecodeRuneInString(text[bytes:])
			bytes += n
		}
		return bytes
	}
	err := re.FindRunesMatches(e.runes, 0, func(v regexp2.MatchView) bool {
		at, n, _ := v.GroupRange(0)
		from := advance(at)
		match(from, advance(at+n))
		return true
	})
	if err != nil {
		// No other limit is set; normalizers and splitters return no errors, Encode does.
		panic(tooSlow{re.String(), len(text)})
	}
}

// matchLimit is how long the search for one match may take: a megabyte of blanks takes
// a fiftieth of it.
const matchLimit = 5 * time.Second

// tooSlow is a regular expression that takes too long on a text of so many bytes.
type tooSlow struct {
	pattern string
	bytes   int
}

func (e tooSlow) Error() string {
	return fmt.Sprintf("a regular expression of the model's tokenizer.json needs more than %v on a text of %d bytes, as none does that is meant for texts: %.100q", matchLimit, e.bytes, e.pattern)
}

// compile compiles a pattern of a tokenizer.json, without a limit on the stack: a
// text with a megabyte of blanks is legitimate. What Oniguruma, the
// reference's library, reads in another way than ours is refused.
func compile(pattern string) (*regexp2.Regexp, error) {
	if part := otherSyntax(pattern); part != "" {
		return nil, fmt.Errorf("the pattern %q is not supported: %s has another meaning here", pattern, part)
	}
	re, err := regexp2.Compile(pattern, regexp2.OptionMaxBacktrackingStackSize(-1))
	if err != nil {
		return nil, fmt.Errorf("the pattern %q is not supported: %w", pattern, err)
	}
	re.MatchTimeout = matchLimit
	return re, nil
}

// otherSyntax returns the first part of a pattern that the two libraries read
// differently: what belongs to words, \h and \R, and sets inside sets.
func otherSyntax(pattern string) string {
	inSet := false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			if strings.IndexByte("wWbBhHR", pattern[i]) >= 0 {
				return pattern[i-1 : i+1]
			}
		case c == '[' && inSet:
			return "a set inside a set"
		case c == '&' && inSet && strings.HasPrefix(pattern[i:], "&&"):
			return "&&"
		case c == '[':
			inSet = true
			// A bracket that comes first in a set belongs to it.
			for _, first := range []string{"^", "]"} {
				if strings.HasPrefix(pattern[i+1:], first) {
					i++
				}
			}
		case c == ']':
			inSet = false
		}
	}
	return ""
}

// splitText cuts at every occurrence of a literal text.
func splitText(sep string, how behavior, invert bool) splitter {
	return func(_ *encoder, in piece, out []piece) []piece {
		if sep == "" {
			return cut(in, []span{{0, len(in.text), invert}}, how, out)
		}
		var spans []span
		at := 0
		for {
			i := strings.Index(in.text[at:], sep)
			if i < 0 {
				break
			}
			if i > 0 {
				spans = append(spans, span{at, at + i, invert})
			}
			spans = append(spans, span{at + i, at + i + len(sep), !invert})
			at += i + len(sep)
		}
		if at < len(in.text) {
			spans = append(spans, span{at, len(in.text), invert})
		}
		return cut(in, spans, how, out)
	}
}

// splitDigits cuts numbers (Unicode's category N) out of the text, one character
// at a time or in runs.
func splitDigits(individual bool) splitter {
	return func(_ *encoder, in piece, out []piece) []piece {
		from, inNumber := 0, false
		for i, r := range in.text {
			number := isNumber(r)
			if i > from && (number != inNumber || number && individual) {
				out = append(out, piece{in.text[from:i], in.begins && from == 0})
				from = i
			}
			inNumber = number
		}
		if from < len(in.text) {
			out = append(out, piece{in.text[from:], in.begins && from == 0})
		}
		return out
	}
}

// splitBytes is GPT-2's pre-tokenizer: an optional blank in front, its pattern
// (nil: no cut), and every byte spelled as a printable character.
func splitBytes(prefixSpace bool, re *regexp2.Regexp) splitter {
	words := splitPattern(re, isolated, false)
	return func(e *encoder, in piece, out []piece) []piece {
		if prefixSpace && !strings.HasPrefix(in.text, " ") {
			in.text = " " + in.text
		}
		if re == nil {
			return append(out, piece{spellBytes(in.text), in.begins})
		}
		n := len(out)
		out = words(e, in, out)
		for i := range out[n:] {
			out[n+i].text = spellBytes(out[n+i].text)
		}
		return out
	}
}

// A prepend says where Metaspace puts a mark in front.
type prepend int

const (
	prependNever prepend = iota
	prependFirst         // at the beginning of the input only
	prependAlways
)

var prepends = map[string]prepend{"never": prependNever, "first": prependFirst, "always": prependAlways}

// splitMetaspace writes blanks as mark (▁), puts one in front as scheme says, and
// cuts in front of each if split.
func splitMetaspace(mark string, scheme prepend, split bool) splitter {
	words := splitText(mark, mergedWithNext, false)
	return func(e *encoder, in piece, out []piece) []piece {
		in.text = strings.ReplaceAll(in.text, " ", mark)
		if (scheme == prependAlways || scheme == prependFirst && in.begins) && !strings.HasPrefix(in.text, mark) {
			in.text = mark + in.text
		}
		if !split {
			return append(out, in)
		}
		return words(e, in, out)
	}
}
