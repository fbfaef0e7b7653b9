package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Token types of GGUF's tokenizer.ggml.token_type.
const (
	ggufNormal      = 1
	ggufUnknown     = 2
	ggufControl     = 3
	ggufUserDefined = 4
)

// blankMark is SentencePiece's spelling of a blank.
const blankMark = "▁"

// ggufMeta reads values of a GGUF file's metadata and keeps the first error.
type ggufMeta struct {
	values map[string]any
	err    error
}

func read[T any](m *ggufMeta, key string) (v T, ok bool) {
	raw, ok := m.values["tokenizer."+key]
	if !ok {
		return v, false
	}
	v, ok = raw.(T)
	if !ok && m.err == nil {
		m.err = fmt.Errorf("tokenizer.%s is of type %T, want %T", key, raw, v)
	}
	return v, ok
}

func (m *ggufMeta) flag(key string, otherwise bool) bool {
	if v, ok := read[bool](m, key); ok {
		return v
	}
	return otherwise
}

// id reads a token's id, -1 where there is none.
func (m *ggufMeta) id(key string, size int) int32 {
	var n uint64
	switch v := m.values["tokenizer."+key].(type) {
	case nil:
		return -1
	case int64:
		n = uint64(v)
	case uint64:
		n = v
	default:
		m.fail(fmt.Errorf("tokenizer.%s is of type %T, want an integer", key, v))
		return -1
	}
	if n >= uint64(size) {
		m.fail(fmt.Errorf("tokenizer.%s is %d, but there are %d tokens", key, n, size))
		return -1
	}
	return int32(n)
}

func (m *ggufMeta) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// FromGGUF builds the tokenizer that the metadata of a GGUF file describes, with
// the values' types as weights.File.Meta holds them. tokenizer.ggml.model may be
// gpt2 (with tokenizer.ggml.pre naming the pre-tokenizer) or llama. Errors name
// the key.
func FromGGUF(meta map[string]any) (*Tokenizer, error) {
	m := &ggufMeta{values: meta}
	t, err := m.build()
	if err == nil {
		err = m.err
	}
	if err != nil {
		return nil, fmt.Errorf("the GGUF file's tokenizer: %w", err)
	}
	return t, nil
}

func (m *ggufMeta) build() (*Tokenizer, error) {
	tokens, ok := read[[]string](m, "ggml.tokens")
	if !ok || len(tokens) == 0 {
		return nil, cmp.Or(m.err, fmt.Errorf("tokenizer.ggml.tokens is missing or empty"))
	}
	types, ok := read[[]int64](m, "ggml.token_type")
	if ok && len(types) != len(tokens) {
		return nil, fmt.Errorf("tokenizer.ggml.token_type has %d entries, tokenizer.ggml.tokens %d", len(types), len(tokens))
	}
	vocab := make(map[string]int32, len(tokens))
	var added []addedToken
	for i, token := range tokens {
		if token == "" {
			continue
		}
		if !utf8.ValidString(token) {
			return nil, fmt.Errorf("tokenizer.ggml.tokens: entry %d is no valid UTF-8", i)
		}
		if other, twice := vocab[token]; twice {
			return nil, fmt.Errorf("tokenizer.ggml.tokens: entries %d and %d are both %q", other, i, token)
		}
		vocab[token] = int32(i)
		if types == nil {
			continue
		}
		switch types[i] {
		case ggufUnknown, ggufControl:
			added = append(added, addedToken{ID: int32(i), Content: token, Special: true, RStrip: m.stripsRight(token)})
		case ggufUserDefined:
			added = append(added, addedToken{ID: int32(i), Content: token, RStrip: m.stripsRight(token)})
		}
	}
	t := &Tokenizer{bos: m.id("ggml.bos_token_id", len(tokens))}
	t.model = &bpe{vocab: vocab, merges: make(map[uint64]merge), unk: m.id("ggml.unknown_token_id", len(tokens)), fuseUnk: true}
	name, _ := read[string](m, "ggml.model")
	pre, _ := read[string](m, "ggml.pre")
	var addBOS bool
	var err error
	switch name {
	case "gpt2":
		addBOS, err = m.byteLevel(t, pre)
	case "llama":
		addBOS, err = true, m.sentencePiece(t, tokens, types)
	default:
		err = unsupported("tokenizer.ggml.model", name, "gpt2", "llama")
	}
	if err != nil {
		return nil, err
	}
	if err := t.setTokens(vocab, added); err != nil {
		return nil, err
	}
	m.ends(t, addBOS)
	m.digest(t, tokens, types)
	return t, nil
}

// stripsRight tells that an added token takes in the blanks to its right. GGUF does
// not say so; in Phi 3's tokenizer.json most do.
func (m *ggufMeta) stripsRight(token string) bool {
	arch, _ := m.values["general.architecture"].(string)
	name, _ := read[string](m, "ggml.model")
	return arch == "phi3" && name == "llama" && token != "<unk>" && token != "<s>" && token != "<|endoftext|>"
}

// byteLevel sets what a GPT-2-like tokenizer does, by the name of its
// pre-tokenizer; the names and their patterns are llama.cpp's.
func (m *ggufMeta) byteLevel(t *Tokenizer, pre string) (addBOS bool, err error) {
	patterns := []string{gpt2Pattern}
	switch pre {
	case "gpt-2", "phi-2":
	case "smollm":
		t.splitters = append(t.splitters, splitDigits(true))
	case "llama-bpe", "llama3", "llama-v3":
		patterns = []string{llama3Pattern}
		t.model.ignoreMerges, addBOS = true, true
	case "qwen2", "deepseek-r1-qwen":
		patterns = []string{qwen2Pattern}
		t.normalizers = []normalizer{normalForm(norm.NFC)}
	case "default", "":
		patterns = []string{
			`[\p{P}\$\+<=>\^~\|]+`,
			`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`,
			`\p{N}+`,
			`[0-9][0-9][0-9]`,
		}
	default:
		return false, unsupported("tokenizer.ggml.pre", pre, "default", "gpt-2", "smollm", "llama-bpe", "qwen2")
	}
	for _, p := range patterns {
		re, err := compile(p)
		if err != nil {
			return false, err
		}
		t.splitters = append(t.splitters, splitPattern(re, isolated, false))
	}
	t.splitters = append(t.splitters, splitBytes(m.flag("ggml.add_space_prefix", false), nil))
	t.decoders = []decoder{decodeBytes}
	merges, ok := read[[]string](m, "ggml.merges")
	if !ok {
		return false, cmp.Or(m.err, fmt.Errorf("tokenizer.ggml.merges is missing"))
	}
	for i, line := range merges {
		p, err := splitMerge(line)
		if err != nil {
			return false, fmt.Errorf("tokenizer.ggml.merges: entry %d: %w", i, err)
		}
		if err := t.model.addMerge(i, p[0], p[1]); err != nil {
			return false, fmt.Errorf("tokenizer.ggml.merges: %w", err)
		}
	}
	return addBOS, nil
}

// sentencePiece sets what a SentencePiece BPE tokenizer does.
func (m *ggufMeta) sentencePiece(t *Tokenizer, tokens []string, types []int64) error {
	scores, ok := read[[]float64](m, "ggml.scores")
	if !ok || len(scores) != len(tokens) {
		return cmp.Or(m.err, fmt.Errorf("tokenizer.ggml.scores has %d entries, tokenizer.ggml.tokens %d", len(scores), len(tokens)))
	}
	if types == nil {
		return fmt.Errorf("tokenizer.ggml.token_type is missing")
	}
	if t.model.unk < 0 {
		t.model.unk = 0
	}
	t.model.byteFallback = true
	prefix := m.flag("ggml.add_space_prefix", true)
	if prefix {
		t.normalizers = append(t.normalizers, prependText(blankMark))
	}
	t.normalizers = append(t.normalizers, replaceText(" ", blankMark))
	t.decoders = []decoder{decodeEach(replaceText(blankMark, " ")), decodeFallback, decodeFuse}
	if prefix {
		t.decoders = append(t.decoders, decodeStrip(" ", 1, 0))
	}
	for rank, p := range mergesFromScores(t.model.vocab, tokens, types, scores) {
		t.model.merges[p.pair] = merge{int32(rank), p.id}
	}
	return nil
}

type scoredMerge struct {
	pair        uint64
	id          int32
	score       float64
	left, right int // lengths of the parts in characters
}

// mergesFromScores lists every way to build a token from two others, in the order
// in which SentencePiece prefers them: the better score of the result first. The
// order among the ways to one token is that of Hugging Face's conversion, the
// longer left part first.
func mergesFromScores(vocab map[string]int32, tokens []string, types []int64, scores []float64) []scoredMerge {
	part := func(s string) (int32, bool) {
		id, ok := vocab[s]
		return id, ok && (types[id] == ggufNormal || types[id] == ggufUserDefined)
	}
	var all []scoredMerge
	for i, token := range tokens {
		if types[i] != ggufNormal && types[i] != ggufUserDefined {
			continue
		}
		length := utf8.RuneCountInString(token)
		left := 0
		for at := range token {
			if at == 0 {
				continue
			}
			left++
			a, ok := part(token[:at])
			if !ok {
				continue
			}
			if b, ok := part(token[at:]); ok {
				all = append(all, scoredMerge{pair(a, b), int32(i), scores[i], left, length - left})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b scoredMerge) int {
		return cmp.Or(cmp.Compare(b.score, a.score), b.left-a.left, b.right-a.right)
	})
	return all
}

// ends sets the tokens that begin and end a sequence, and the chat template.
func (m *ggufMeta) ends(t *Tokenizer, addBOS bool) {
	size := len(t.tokens)
	special := map[string]string{}
	name := func(key string, id int32) {
		if token := t.Token(id); token != "" {
			special[key] = token
		}
	}
	name("bos_token", t.bos)
	for _, key := range []string{"eos", "eot", "eom"} {
		t.addEOS(m.id("ggml."+key+"_token_id", size))
	}
	eos := m.id("ggml.eos_token_id", size)
	name("eos_token", eos)
	name("unk_token", m.id("ggml.unknown_token_id", size))
	name("pad_token", m.id("ggml.padding_token_id", size))

	tpl := template{{text: true}}
	if m.flag("ggml.add_bos_token", addBOS) && t.bos >= 0 {
		tpl = append(template{{ids: []int32{t.bos}}}, tpl...)
	}
	if m.flag("ggml.add_eos_token", false) && eos >= 0 {
		tpl = append(tpl, templatePart{ids: []int32{eos}})
	}
	if len(tpl) > 1 {
		t.templates = []template{tpl}
	}
	if source, ok := read[string](m, "chat_template"); ok {
		t.chat = newChat(source, special)
	}
}

// digest sets the hash from every value that was used.
func (m *ggufMeta) digest(t *Tokenizer, tokens []string, types []int64) {
	d := newDigest()
	d.add("gguf")
	for _, key := range []string{"ggml.model", "ggml.pre"} {
		s, _ := read[string](m, key)
		d.add(key, s)
	}
	for _, key := range []string{"ggml.add_space_prefix", "ggml.add_bos_token", "ggml.add_eos_token"} {
		v, ok := read[bool](m, key)
		d.add(key, strconv.FormatBool(ok), strconv.FormatBool(v))
	}
	for _, key := range []string{"ggml.unknown_token_id", "ggml.eos_token_id"} {
		d.add(key, strconv.Itoa(int(m.id(key, len(tokens)))))
	}
	if m.stripsRight("") {
		d.add("added tokens take in blanks to their right")
	}
	d.add("tokens")
	d.add(tokens...)
	merges, _ := read[[]string](m, "ggml.merges")
	d.add("merges")
	d.add(merges...)
	scores, _ := read[[]float64](m, "ggml.scores")
	d.add("types", fmt.Sprint(types), "scores", fmt.Sprint(scores))
	d.finish(t)
}
