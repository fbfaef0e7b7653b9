package tensor

import "unsafe"

// upcoming is memory that a tile's kernel brings near while it computes, pace bytes
// for every k from at on. It is a hint: any address will do.
type upcoming struct {
	at   uintptr
	pace int
}

// int8Pace is the bytes of a panel in int8 between two fetches: the scales of a
// block, then four of k.
const int8Pace = 4 * Panel

// share is what the tile of rows [from, from+rows) of m brings near, of the panel
// that follows one of k rows of so many bytes each: the tiles of a panel divide the next
// one among them, so that it arrives while all of them compute, not while the first
// one waits. A tile that is the only one has it from orBehind.
func share(panel unsafe.Pointer, k, bytes, from, rows, m int) upcoming {
	if rows == m {
		return upcoming{}
	}
	return upcoming{uintptr(panel) + uintptr(k*bytes+k*bytes*from/m), bytes * rows / m}
}

// orBehind is what stands a little behind the rows of B, bytes apart, that a tile
// reads, unless next says something else.
func (next upcoming) orBehind(b unsafe.Pointer, bytes int) upcoming {
	const near = 4096
	if next.at == 0 {
		return upcoming{uintptr(b) + near, bytes}
	}
	return next
}

// halves divides it between two runs over k.
func (next upcoming) halves(k int) (first, second upcoming) {
	if next.at == 0 {
		return next, next
	}
	pace := next.pace / 2
	return upcoming{next.at, pace}, upcoming{next.at + uintptr(k*pace), pace}
}
