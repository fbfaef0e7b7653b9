package tensor

import "testing"

func TestPeakLoopsCountTheirWork(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		x := random(newRand(1), 1000, "ordinary")
		if got, want := ReadLoop(x), 4.*768; got != want {
			t.Errorf("reading 1000 floats read %g bytes, want %g: whole steps", got, want)
		}
		if got := ReadLoop(nil); got != 0 {
			t.Errorf("reading nothing read %g bytes", got)
		}
		if got, want := Int8Loop(10), 10*Int8Loop(1); got != want || want <= 0 {
			t.Errorf("10 rounds are %g operations on bytes, want %g", got, want)
		}
		if got, want := FMALoop(10), 10*FMALoop(1); got != want || want <= 0 {
			t.Errorf("10 rounds are %g operations, want %g", got, want)
		}
	})
}

// The fastest of the loops, one thread: what shares of a peak refer to.
func BenchmarkPeak(b *testing.B) {
	b.Run(level+"/fma", func(b *testing.B) {
		operations := 0.
		for b.Loop() {
			operations += FMALoop(10000)
		}
		b.ReportMetric(operations/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
	b.Run(level+"/int8", func(b *testing.B) {
		operations := 0.
		for b.Loop() {
			operations += Int8Loop(10000)
		}
		b.ReportMetric(operations/b.Elapsed().Seconds()/1e9, "GOP/s")
	})
	x := random(newRand(1), 1<<12, "ordinary")
	b.Run(level+"/read", func(b *testing.B) {
		bytes := 0.
		for b.Loop() {
			bytes += ReadLoop(x)
		}
		b.ReportMetric(bytes/b.Elapsed().Seconds()/1e9, "GB/s")
	})
}
