package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is cut out of the text before anything else.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// addedTokens finds added tokens in a text: leftmost first, then longest.
type addedTokens struct {
	root    *node
	special map[int32]bool
}

type node struct {
	next  map[byte]*node
	token *addedToken
}

func newAddedTokens(list []addedToken) (*addedTokens, error) {
	a := &addedTokens{root: &node{}, special: map[int32]bool{}}
	for _, token := range list {
		if token.Content == "" {
			return nil, fmt.Errorf("tokenizer: added token %d has no content", token.ID)
		}
		at := a.root
		for i := range len(token.Content) {
			if at.next == nil {
				at.next = map[byte]*node{}
			}
			child := at.next[token.Content[i]]
			if child == nil {
				child = &node{}
				at.next[token.Content[i]] = child
			}
			at = child
		}
		at.token = &token
		a.special[token.ID] = token.Special
	}
	return a, nil
}

// piece is plain text, or an added token (id ≥ 0).
type piece struct {
	text string
	id   int32
}

func (a *addedTokens) split(text string) []piece {
	var out []piece
	start := 0
	for at := 0; at < len(text); {
		token := a.longest(text[at:])
		if token == nil || token.SingleWord && !wordBounds(text, at, at+len(token.Content)) {
			at++
			continue
		}
		from, to := at, at+len(token.Content)
		if token.LStrip {
			from = start + len(strings.TrimRightFunc(text[start:from], unicode.IsSpace))
		}
		if token.RStrip {
			to = len(text) - len(strings.TrimLeftFunc(text[to:], unicode.IsSpace))
		}
		if from > start {
			out = append(out, piece{text[start:from], -1})
		}
		out = append(out, piece{id: token.ID})
		start, at = to, to
	}
	if start < len(text) {
		out = append(out, piece{text[start:], -1})
	}
	return out
}

func (a *addedTokens) longest(text string) *addedToken {
	var found *addedToken
	at := a.root
	for i := range len(text) {
		if at = at.next[text[i]]; at == nil {
			break
		}
		if at.token != nil {
			found = at.token
		}
	}
	return found
}

// wordBounds reports whether no word character touches text[from:to].
func wordBounds(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return !(from > 0 && isWord(before)) && !(to < len(text) && isWord(after))
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
