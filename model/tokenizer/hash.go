package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
)

// Hash returns a sha256, in hex, over everything that determines ids, texts,
// stop ids and rendered conversations. Two tokenizers with one hash behave alike;
// the same tokenizer read from another kind of file has another hash.
func (t *Tokenizer) Hash() string { return t.hash }

// A digest hashes a list of texts so that no two lists give the same bytes.
type digest struct{ hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) add(parts ...string) {
	for _, p := range parts {
		fmt.Fprintf(d, "%d:%s", len(p), p)
	}
}

// finish sets t's hash from what was added, the special ids and the chat
// template.
func (d digest) finish(t *Tokenizer) {
	d.add("ids", fmt.Sprint(t.bos, t.eos))
	if t.chat != nil {
		d.add("chat", t.chat.source, templateDate.Format("2006-01-02"))
		for _, name := range slices.Sorted(maps.Keys(t.chat.special)) {
			d.add(name, t.chat.special[name])
		}
	}
	t.hash = hex.EncodeToString(d.Sum(nil))
}
