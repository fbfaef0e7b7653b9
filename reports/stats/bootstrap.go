package stats

// Resample draws records with replacement, as many as there are, and does so
// rounds times. It returns the means of every series in every round:
// [series][rounds]. series is [series][records], all of one length, at least 1.
//
// In one round all series are drawn at the same records, and so are those of
// another call with the same seed, rounds and number of records: differences and
// ratios of the means are those of a paired bootstrap (Efron, 1979).
func Resample(series [][]float64, rounds int, seed string) [][]float64 {
	out := make([][]float64, len(series))
	for s := range out {
		out[s] = make([]float64, rounds)
	}
	if len(series) == 0 {
		return out
	}
	n := len(series[0])
	random := source(seed)
	at := make([]int32, n)
	for round := range rounds {
		for i := 0; i < n; i += 2 {
			// The high half of a product maps 32 random bits to 0..n-1.
			bits := random.Uint64()
			at[i] = int32((bits & 0xffffffff) * uint64(n) >> 32)
			if i+1 < n {
				at[i+1] = int32((bits >> 32) * uint64(n) >> 32)
			}
		}
		for s, values := range series {
			out[s][round] = meanAt(values, at)
		}
	}
	return out
}

// meanAt is the mean of the values at places.
func meanAt(values []float64, at []int32) float64 {
	// Four sums, since each addition waits for the one before.
	var a, b, c, d float64
	i := 0
	for ; i+4 <= len(at); i += 4 {
		p := at[i : i+4 : i+4]
		a += values[p[0]]
		b += values[p[1]]
		c += values[p[2]]
		d += values[p[3]]
	}
	for ; i < len(at); i++ {
		a += values[at[i]]
	}
	return (a + b + c + d) / float64(len(at))
}
