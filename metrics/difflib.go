package metrics

// difflib is Python's difflib.SequenceMatcher(None, a, b) on characters. It
// takes the longest common block, then those to its left and right, and so on
// (Ratcliff and Obershelp's "gestalt pattern matching"). Its time grows with the
// length of a times the occurrences of a character in b times the depth of the
// blocks.
type difflib struct {
	a, b []rune
	at   map[rune][]int // where each character of b stands, but for popular ones

	// The lengths of the matches that end at each place of b, of this character
	// of a and of the one before, valid where stamp is that character's.
	length, stamp [2][]int
	now           int
}

// autojunkFrom is the length of b from which on Python ignores, as ends of a
// match, characters that make more than a hundredth of it.
const autojunkFrom = 200

func newDifflib(a, b []rune) *difflib {
	d := &difflib{a: a, b: b, at: map[rune][]int{}}
	for j, r := range b {
		d.at[r] = append(d.at[r], j)
	}
	if len(b) >= autojunkFrom {
		for r, places := range d.at {
			if len(places) > len(b)/100+1 {
				delete(d.at, r)
			}
		}
	}
	for k := range 2 {
		d.length[k], d.stamp[k] = make([]int, len(b)+1), make([]int, len(b)+1)
	}
	return d
}

// ratio is twice the matched characters over the sum of both lengths.
func (d *difflib) ratio() float64 {
	matched := 0
	todo := [][4]int{{0, len(d.a), 0, len(d.b)}}
	for len(todo) > 0 {
		last := len(todo) - 1
		aLow, aHigh, bLow, bHigh := todo[last][0], todo[last][1], todo[last][2], todo[last][3]
		todo = todo[:last]
		i, j, size := d.longest(aLow, aHigh, bLow, bHigh)
		if size == 0 {
			continue
		}
		matched += size
		if aLow < i && bLow < j {
			todo = append(todo, [4]int{aLow, i, bLow, j})
		}
		if i+size < aHigh && j+size < bHigh {
			todo = append(todo, [4]int{i + size, aHigh, j + size, bHigh})
		}
	}
	return 2 * float64(matched) / float64(len(d.a)+len(d.b))
}

// longest is the longest common block within a[aLow:aHigh] and b[bLow:bHigh],
// the first of several, extended by popular characters on both sides.
func (d *difflib) longest(aLow, aHigh, bLow, bHigh int) (bestA, bestB, size int) {
	bestA, bestB = aLow, bLow
	d.now++ // the character before aLow has no matches
	for i := aLow; i < aHigh; i++ {
		d.now++
		this, before := d.now%2, (d.now-1)%2
		for _, j := range d.at[d.a[i]] {
			if j < bLow {
				continue
			}
			if j >= bHigh {
				break
			}
			n := 1
			if d.stamp[before][j] == d.now-1 {
				n += d.length[before][j]
			}
			d.length[this][j+1], d.stamp[this][j+1] = n, d.now
			if n > size {
				bestA, bestB, size = i-n+1, j-n+1, n
			}
		}
	}
	for bestA > aLow && bestB > bLow && d.a[bestA-1] == d.b[bestB-1] {
		bestA, bestB, size = bestA-1, bestB-1, size+1
	}
	for bestA+size < aHigh && bestB+size < bHigh && d.a[bestA+size] == d.b[bestB+size] {
		size++
	}
	return bestA, bestB, size
}
