package model

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"refreekv/model/tensor"
)

// distinct makes one stream for each different choice among variants. Variants
// that evict are never shared.
func (c *Continuation) distinct(variants []Variant) {
	type choice struct {
		keep   [sha256.Size]byte
		rebase bool
	}
	seen := map[choice]*stream{}
	for _, v := range variants {
		key := choice{fingerprint(v.Keep, c.p.shape), v.Rebase}
		s := seen[key]
		if s == nil || v.Evict != nil {
			s = c.newStream(v)
			c.streams = append(c.streams, s)
			if v.Evict == nil {
				seen[key] = s
			}
		}
		c.of = append(c.of, s)
	}
}

// fingerprint identifies what every query head of every layer reads: keeps that
// say the same in different forms (one list, a list per head) are equal.
func fingerprint(keep Keep, s Shape) [sha256.Size]byte {
	hash := sha256.New()
	var buf []byte
	for _, layer := range keep {
		for h := range s.Heads {
			list := layer.Head(h, s)
			buf = binary.LittleEndian.AppendUint32(buf[:0], uint32(len(list)))
			for _, pos := range list {
				buf = binary.LittleEndian.AppendUint32(buf, uint32(pos))
			}
			hash.Write(buf)
		}
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// newStream is a variant before its first token is fed.
func (c *Continuation) newStream(v Variant) *stream {
	keep, p, room := v.Keep, c.p, c.room
	s := &stream{
		p: p, in: c,
		variant: v,
		kept:    make([][]headMask, len(keep)),
		panels:  make([][][]uint64, len(keep)),
		tail:    newCache(p.shape, 0),
		density: keep.Budget(p.Len()),
	}
	for l, layer := range keep {
		masks := make([]headMask, len(layer))
		for i, list := range layer {
			if v.Evict == nil && len(list) == p.Len() {
				continue // all positions need no mask
			}
			masks[i] = newMask(list, p.Len(), room)
		}
		s.kept[l] = make([]headMask, p.shape.Heads)
		s.panels[l] = make([][]uint64, p.shape.KVHeads)
		for kv := range s.panels[l] {
			s.panels[l][kv] = make([]uint64, panelWords(p.Len()))
		}
		for h := range s.kept[l] {
			list := layer.listOf(h, p.shape)
			s.kept[l][h] = masks[list]
			words := s.panels[l][h/p.shape.Group()]
			for _, pos := range layer[list] {
				panel := pos / tensor.Panel
				words[panel/64] |= 1 << (panel % 64)
			}
		}
	}
	if v.Evict != nil || v.Rebase {
		s.cache = newLivingCache(v, s, p, room)
	}
	return s
}

// newMask turns a list of kept positions among n into a mask that also lets
// generated positions through.
func newMask(list []int32, n, room int) headMask {
	mask := make(headMask, (n+room+15)/16)
	for _, pos := range list {
		mask[pos/16] |= 1 << (pos % 16)
	}
	for pos := n; pos < n+room; pos++ {
		mask[pos/16] |= 1 << (pos % 16)
	}
	return mask
}

// growTail makes room for the newest token in every layer.
func (s *stream) growTail() {
	for l, heads := range s.tail.keys {
		for h, keys := range heads {
			keys.Resize(max(s.tailLen, keys.N))
			for len(s.tail.values[l][h]) < s.tailLen*keys.K {
				s.tail.values[l][h] = append(s.tail.values[l][h], 0)
			}
		}
	}
}

// panelWords is how many 64-bit words hold one bit per panel of n keys.
func panelWords(n int) int {
	panels := (n + tensor.Panel - 1) / tensor.Panel
	return (panels + 63) / 64
}

// eachRun calls f for every run [from, to) of set bits below n.
func eachRun(words []uint64, n int, f func(from, to int)) {
	for at := 0; at < n; {
		rest := words[at/64] >> (at % 64)
		if rest == 0 {
			at = (at/64 + 1) * 64
			continue
		}
		from := at + bits.TrailingZeros64(rest)
		to := from
		for to < n && words[to/64]>>(to%64)&1 == 1 {
			to++
		}
		f(from, to)
		at = to
	}
}
