package tensor

import "math"

// halfPanel is the words of 32 bits in a row of a bfloat16 panel: word i holds
// column i in its low half and column i+16 in its high one, so that a shift and a
// mask widen 32 columns to float32.
const halfPanel = Panel / 2

// bf16High masks the high halves.
//
//lint:ignore U1000 read by the assembly
var bf16High = func() (mask [16]uint32) {
	for i := range mask {
		mask[i] = 0xffff0000
	}
	return mask
}()

// toBF16 rounds to the nearest bfloat16, ties to even; NaN stays NaN.
func toBF16(x float32) uint16 {
	bits := math.Float32bits(x)
	if x != x {
		return uint16(bits>>16) | 1<<6
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// setHalves sets a column of a panel.
func setHalves(panel []uint32, column int, row []float32) {
	shift := column / halfPanel * 16
	for i, k := column%halfPanel, 0; k < len(row); i, k = i+halfPanel, k+1 {
		panel[i] = panel[i]&^(0xffff<<shift) | uint32(toBF16(row[k]))<<shift
	}
}

// getHalves is the reverse of setHalves.
func getHalves(panel []uint32, column int, row []float32) {
	shift := column / halfPanel * 16
	for i, k := column%halfPanel, 0; k < len(row); i, k = i+halfPanel, k+1 {
		row[k] = math.Float32frombits(panel[i] >> shift << 16)
	}
}

// tileHalvesGo is the plain twin of the bfloat16 kernels: tileGo over a panel that
// is widened a stretch of k at a time.
func tileHalvesGo(c []float32, ldc int, a []float32, lda, rows int, b []uint32, k int, accumulate bool, _ upcoming) {
	const stretch = 64
	var wide [stretch * Panel]float32
	for at := 0; at < k; at += stretch {
		count := min(stretch, k-at)
		for i, word := range b[at*halfPanel : (at+count)*halfPanel] {
			row := wide[i/halfPanel*Panel:]
			row[i%halfPanel] = math.Float32frombits(word << 16)
			row[i%halfPanel+halfPanel] = math.Float32frombits(word & 0xffff0000)
		}
		tileGo(c, ldc, a[at:], lda, rows, wide[:], Panel, count, accumulate || at > 0, upcoming{})
	}
}
