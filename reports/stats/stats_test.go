package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fixture is testdata/scipy.json.
type fixture struct {
	Samples []struct {
		Name        string
		Differences []float64
		P           float64
		Exact       bool
		Interval    [2]float64
		Error       float64 // standard error of the mean
	}
	Quantiles []struct {
		Values    []float64
		Low, High float64
	}
	Unseen []struct {
		N     int
		Share float64
	}
	Holm []struct{ P, Adjusted []float64 }
}

func readFixture(t *testing.T) (f fixture) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "scipy.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Samples) == 0 || len(f.Quantiles) == 0 || len(f.Unseen) == 0 || len(f.Holm) == 0 {
		t.Fatal("the fixture is empty")
	}
	return f
}

func within(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

func TestPermutationAsSciPy(t *testing.T) {
	for _, s := range readFixture(t).Samples {
		p, ok := ExactSignFlip(s.Differences)
		if ok != s.Exact {
			t.Errorf("%s: exact is %v, want %v", s.Name, ok, s.Exact)
		}
		if ok && !within(p, s.P, 1e-12) {
			t.Errorf("%s: p %v, SciPy's is %v", s.Name, p, s.P)
		}
		// Sampled: within five standard errors of both samples.
		const rounds = 100_000
		p = FlipP(Flips([][]float64{s.Differences}, rounds, s.Name)[0], s.Differences)
		noise := 5*math.Sqrt(s.P*(1-s.P)/rounds) + 2.0/rounds
		if !s.Exact {
			noise *= math.Sqrt(1.5)
		}
		if !within(p, s.P, noise) {
			t.Errorf("%s: sampled p %v, SciPy's is %v (± %v)", s.Name, p, s.P, noise)
		}
	}
}

func TestBootstrapAsSciPy(t *testing.T) {
	for _, s := range readFixture(t).Samples {
		got := Middle95(Resample([][]float64{s.Differences}, 10_000, s.Name)[0])
		// The ends of 10,000 rounds scatter by about 0.03 standard errors; where
		// values tie, an end sits on one of few places.
		tolerance := 0.15*s.Error + 1e-12
		if !within(got.Low, s.Interval[0], tolerance) || !within(got.High, s.Interval[1], tolerance) {
			t.Errorf("%s: interval %v, SciPy's is %v (± %v)", s.Name, got, s.Interval, tolerance)
		}
	}
}

// All 27 resamples of three records, by hand: the sampled means have their shares.
func TestResampleIsUniform(t *testing.T) {
	const rounds = 270_000
	values := []float64{1, 10, 100}
	counts := map[float64]int{}
	for _, mean := range Resample([][]float64{values}, rounds, "three")[0] {
		counts[math.Round(3*mean)]++
	}
	want := map[float64]int{}
	for _, a := range values {
		for _, b := range values {
			for _, c := range values {
				want[a+b+c] += rounds / 27
			}
		}
	}
	for sum, n := range want {
		if !within(float64(counts[sum]), float64(n), 5*math.Sqrt(float64(n))) {
			t.Errorf("the sum %v comes %d times, want about %d", sum, counts[sum], n)
		}
	}
	if len(counts) != len(want) {
		t.Errorf("sums %v, want %v", counts, want)
	}
}

// Series are drawn at the same records, in one call or several: what is linear in
// the values is linear in the means.
func TestResampleIsPaired(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 7, 64} {
		a, b, difference := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			a[i], b[i] = random.Float64(), random.Float64()
			difference[i] = a[i] - b[i]
		}
		both := Resample([][]float64{a, b}, 50, "seed")
		alone := Resample([][]float64{difference}, 50, "seed")[0]
		other := Resample([][]float64{difference}, 50, "another")[0]
		for i := range alone {
			if !within(both[0][i]-both[1][i], alone[i], 1e-12) {
				t.Fatalf("%d records, round %d: %v less %v, alone %v", n, i, both[0][i], both[1][i], alone[i])
			}
		}
		if n > 2 && slices.Equal(alone, other) {
			t.Errorf("%d records: two seeds draw alike", n)
		}
	}
	if got := Resample(nil, 5, "x"); len(got) != 0 {
		t.Errorf("no series: %v", got)
	}
}

// Every choice of signs of a few records comes as often.
func TestFlipsAreUniform(t *testing.T) {
	const rounds = 64_000
	// Nine records: the last is alone in its byte.
	values := []float64{1, 2, 4, 8, 16, 0, 0, 0, 32}
	counts := map[float64]int{}
	sums := Flips([][]float64{values, {1}}, rounds, "nine")
	for i, sum := range sums[0] {
		counts[sum]++
		// The first records of both series share their sign.
		if odd := math.Mod((63-sum)/2, 2) == 1; odd != (sums[1][i] < 0) {
			t.Fatalf("round %d: sums %v and %v", i, sum, sums[1][i])
		}
	}
	for k := range 64 {
		if n := counts[float64(63-2*k)]; !within(float64(n), 1000, 5*math.Sqrt(1000)) {
			t.Errorf("signs %06b come %d times, want about 1000", k, n)
		}
	}
	if len(counts) != 64 {
		t.Errorf("%d different sums", len(counts))
	}
}

func TestKnownPermutations(t *testing.T) {
	for name, c := range map[string]struct {
		differences []float64
		want        float64
	}{
		"none":                 {nil, 1},
		"no change":            {[]float64{0, 0, 0}, 1},
		"one record":           {[]float64{-3}, 1},
		"five worse":           {[]float64{-1, -1, -1, -1, -1}, 2.0 / 32},
		"sign test 9 of 10":    {[]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, -1}, 22.0 / 1024},
		"zeros change nothing": {[]float64{0, -1, 0, -1, -1, 0, -1, -1}, 2.0 / 32},
		"thirds tie":           {[]float64{.1 + .2, -.3, 1. / 3, 1. / 3}, 6.0 / 16},
	} {
		if got, ok := ExactSignFlip(c.differences); !ok || !within(got, c.want, 1e-12) {
			t.Errorf("%s: p %v, want %v", name, got, c.want)
		}
	}
	// The smallest p-value that sampling can give is not 0.
	all := slices.Repeat([]float64{-5}, 100)
	if got := FlipP(Flips([][]float64{all}, 999, "x")[0], all); got != 0.001 {
		t.Errorf("p %v of a hundred losses, want 1/1000", got)
	}
}

func TestQuantilesAsNumPy(t *testing.T) {
	for _, q := range readFixture(t).Quantiles {
		got := Middle95(slices.Clone(q.Values))
		if !within(got.Low, q.Low, 1e-12) || !within(got.High, q.High, 1e-12) {
			t.Errorf("%d values: %v, NumPy's are %v and %v", len(q.Values), got, q.Low, q.High)
		}
	}
}

func TestHolm(t *testing.T) {
	for _, c := range readFixture(t).Holm {
		if diff := cmp.Diff(c.Adjusted, Holm(c.P), cmpopts.EquateApprox(0, 1e-12)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.P, diff)
		}
	}
	// Holm's own order: 4 × 0.005, 3 × 0.01, 2 × 0.03, and no less for 0.04.
	if diff := cmp.Diff([]float64{0.03, 0.06, 0.06, 0.02}, Holm([]float64{0.01, 0.04, 0.03, 0.005}), cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnseen(t *testing.T) {
	for _, c := range readFixture(t).Unseen {
		if got := Unseen(c.N); !within(got, c.Share, 1e-9) {
			t.Errorf("%d records: %v, SciPy's is %v", c.N, got, c.Share)
		}
		if got := SeenFrom(Unseen(c.N)); !within(got, float64(c.N), 1e-6*float64(c.N)) {
			t.Errorf("the inverse of %d records is %v", c.N, got)
		}
	}
	if Unseen(0) != 1 || SeenFrom(1.5) != 1 || !math.IsInf(SeenFrom(0), 1) {
		t.Errorf("ends: %v %v %v", Unseen(0), SeenFrom(1.5), SeenFrom(0))
	}
}

func TestNeeded(t *testing.T) {
	if got := Needed(100, 2, 1); got != 400 {
		t.Errorf("half the width takes %v records, want 400", got)
	}
	if got := Needed(100, 2, 0); !math.IsInf(got, 1) {
		t.Errorf("no width at all takes %v records", got)
	}
}

// An interval of a known mean holds it about as often as it says.
func TestCoverage(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const trials = 400
	held := 0
	for trial := range trials {
		values := make([]float64, 60)
		for i := range values {
			values[i] = random.ExpFloat64()
		}
		if Middle95(Resample([][]float64{values}, 1000, string(rune(trial)))[0]).Holds(1) {
			held++
		}
	}
	// Percentile intervals of 60 skewed values hold a little less than 95 %.
	if share := float64(held) / trials; share < 0.89 || share > 0.98 {
		t.Errorf("the interval holds the mean in %.3f of all trials", share)
	}
}
