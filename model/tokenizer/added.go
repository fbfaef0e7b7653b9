package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An addedToken is a token that is cut out of the text before anything else
// happens to it. The JSON names are those of tokenizer.json.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // not inside a word
	LStrip     bool   `json:"lstrip"`      // takes in the white space to its left
	RStrip     bool   `json:"rstrip"`      // takes in the white space to its right
	Normalized bool   `json:"normalized"`  // is looked for in the normalized text
	Special    bool   `json:"special"`     // Decode may leave it out
}

// addedSet finds added tokens in a text: leftmost first, the longest of those
// that begin there.
type addedSet struct {
	tokens  map[string]addedToken // by the text that is looked for
	lengths [256][]int            // lengths of the texts that begin with a byte, longest first
}

// add looks for t under the given text. Of two tokens with one text the first
// wins.
func (s *addedSet) add(text string, t addedToken) {
	if text == "" {
		return
	}
	if s.tokens == nil {
		s.tokens = make(map[string]addedToken)
	}
	if _, twice := s.tokens[text]; twice {
		return
	}
	s.tokens[text] = t
	l := &s.lengths[text[0]]
	if !slices.Contains(*l, len(text)) {
		*l = append(*l, len(text))
		slices.SortFunc(*l, func(a, b int) int { return b - a })
	}
}

// split calls part for each piece of text in order: with the id of an added
// token, or with id -1 and the text between two of them. begins tells that the
// piece stands at the beginning of text. Empty pieces are left out.
func (s *addedSet) split(text string, part func(text string, id int32, begins bool)) {
	done := 0
	for at := 0; s.tokens != nil && at < len(text); {
		token, n := s.match(text, at)
		if n == 0 {
			at++
			continue
		}
		from, to := at, at+n
		at = to
		if token.SingleWord && (endsWithWord(text[:from]) || startsWithWord(text[to:])) {
			continue
		}
		if token.LStrip {
			from = max(len(strings.TrimRightFunc(text[:from], unicode.IsSpace)), done)
		}
		if token.RStrip {
			to = len(text) - len(strings.TrimLeftFunc(text[to:], unicode.IsSpace))
		}
		if done < from {
			part(text[done:from], -1, done == 0)
		}
		part(text[from:to], token.ID, from == 0)
		done = to
	}
	if done < len(text) {
		part(text[done:], -1, done == 0)
	}
}

// match returns the longest token that stands at text[at:], and the length of
// its text; 0 if there is none.
func (s *addedSet) match(text string, at int) (addedToken, int) {
	for _, n := range s.lengths[text[at]] {
		if at+n > len(text) {
			continue
		}
		if t, ok := s.tokens[text[at:at+n]]; ok {
			return t, n
		}
	}
	return addedToken{}, 0
}

func startsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

func endsWithWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}
