// Command soak works a guest for a while: goroutines on all CPUs, garbage collection, maps, channels, timers, floating point, files and
// processes. Every piece of work has a result that it checks.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// works are the pieces of work; each returns an error if its result is wrong.
var works = map[string]func(r *rand.Rand) error{
	"channels": channels, "maps": maps, "trees": trees, "gzip": zip, "floats": floats, "sort": sorted, "files": files, "processes": processes, "timers": timers,
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		fmt.Print(fib(20))
		return
	}
	d := 10 * time.Second
	if len(os.Args) == 2 {
		var err error
		if d, err = time.ParseDuration(os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(2)
		}
	}
	debug.SetGCPercent(20)
	end := time.Now().Add(d)
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	for name, work := range works {
		for i := range runtime.NumCPU() + 1 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), uint64(len(name))))
				for time.Now().Before(end) {
					if err := work(r); err != nil {
						fmt.Printf("SOAK %s: %v\n", name, err)
						failed.Add(1)
					}
					done.Add(1)
				}
			})
		}
	}
	wg.Wait()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("SOAK %d works, %d failed, %d collections, %d CPUs\n", done.Load(), failed.Load(), m.NumGC, runtime.NumCPU())
	if failed.Load() != 0 {
		os.Exit(1)
	}
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func want[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func channels(*rand.Rand) error {
	const n, stages = 1000, 20
	in := make(chan int)
	out := in
	for range stages {
		next := make(chan int, 3)
		go func(from, to chan int) {
			for v := range from {
				to <- v + 1
			}
			close(to)
		}(out, next)
		out = next
	}
	go func() {
		for i := range n {
			in <- i
		}
		close(in)
	}()
	sum := 0
	for v := range out {
		sum += v
	}
	return want(sum, n*(n-1)/2+n*stages)
}

func maps(r *rand.Rand) error {
	m := map[string]int{}
	for i := range 2000 {
		m[fmt.Sprint(i)] = i
	}
	for range 1000 {
		delete(m, fmt.Sprint(r.IntN(2000)))
	}
	for k, v := range m {
		if k != fmt.Sprint(v) {
			return fmt.Errorf("%q has %d", k, v)
		}
	}
	return nil
}

type tree struct{ l, r *tree }

func grow(n int) *tree {
	if n == 0 {
		return nil
	}
	return &tree{grow(n - 1), grow(n - 1)}
}

func (t *tree) count() int {
	if t == nil {
		return 0
	}
	return 1 + t.l.count() + t.r.count()
}

func trees(*rand.Rand) error { return want(grow(13).count(), 1<<13-1) }

func zip(r *rand.Rand) error {
	b := make([]byte, 100000)
	for i := range b {
		b[i] = byte(r.IntN(20))
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(b)
	_ = w.Close()
	rd, err := gzip.NewReader(&z)
	if err != nil {
		return err
	}
	back, err := io.ReadAll(rd)
	if err != nil {
		return err
	}
	return want(sha256.Sum256(back), sha256.Sum256(b))
}

func floats(*rand.Rand) error {
	sum := 0.0
	for i := 1; i <= 20000; i++ {
		x := float64(i)
		sum += math.Sqrt(x)*math.Sqrt(x) - x + math.Sin(x)*math.Sin(x) + math.Cos(x)*math.Cos(x)
	}
	if math.Abs(sum-20000) > 1e-6 {
		return fmt.Errorf("sum %v", sum)
	}
	return nil
}

func sorted(r *rand.Rand) error {
	s := make([]uint64, 20000)
	sum := uint64(0)
	for i := range s {
		s[i] = r.Uint64()
		sum += s[i]
	}
	slices.Sort(s)
	for i, v := range s {
		sum -= v
		if i > 0 && s[i-1] > v {
			return fmt.Errorf("not sorted at %d", i)
		}
	}
	return want(sum, 0)
}

func files(r *rand.Rand) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for i := range 20 {
		b := bytes.Repeat([]byte{byte(i)}, r.IntN(5000))
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return err
		}
		back, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(b, back) {
			return fmt.Errorf("%s: %d bytes, want %d: %v", name, len(back), len(b), err)
		}
	}
	return nil
}

func processes(*rand.Rand) error {
	out, err := exec.Command("/proc/self/exe", "child").Output()
	if err != nil {
		return err
	}
	return want(string(out), "6765")
}

func timers(r *rand.Rand) error {
	d := time.Duration(r.IntN(3000)) * time.Microsecond
	start := time.Now()
	<-time.After(d)
	if e := time.Since(start); e < d {
		return fmt.Errorf("%v took %v", d, e)
	}
	return nil
}
