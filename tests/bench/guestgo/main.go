// Guestgo is the Go part of the benchmark's guest: goroutines, channels, the garbage collector, maps, sorting, hashing, JSON.
// It prints "BENCH name group nanoseconds checksum" for each work.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

var works = []struct {
	name string
	run  func() uint64
}{
	{"go-gc", garbage},
	{"go-channels", channels},
	{"go-map", maps},
	{"go-sort", sorting},
	{"go-sha256", sha},
	{"go-json", jsons},
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "net" {
		network(os.Args[2], os.Args[3])
		return
	}
	if len(os.Args) == 4 && os.Args[1] == "storage" {
		storage(os.Args[2], os.Args[3])
		return
	}
	for _, w := range works {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], w.name) && !slices.Contains(os.Args[1:], "go") {
			continue
		}
		t := time.Now()
		sum := w.run()
		fmt.Printf("BENCH %s go %d %016x\n", w.name, time.Since(t).Nanoseconds(), sum)
	}
}

type node struct{ l, r *node }

func tree(d int) *node {
	if d == 0 {
		return &node{}
	}
	return &node{tree(d - 1), tree(d - 1)}
}

func (n *node) count() uint64 {
	if n.l == nil {
		return 1
	}
	return 1 + n.l.count() + n.r.count()
}

// garbage builds and drops binary trees.
func garbage() (sum uint64) {
	keep := tree(15)
	for range 24 {
		sum += tree(14).count()
	}
	runtime.GC()
	return sum + keep.count()
}

// channels passes numbers through a ring of goroutines.
func channels() (sum uint64) {
	const workers, rounds = 8, 8000
	var wg sync.WaitGroup
	first := make(chan uint64, 1)
	in := first
	for i := range workers {
		out := make(chan uint64, 1)
		wg.Add(1)
		go func(in <-chan uint64, out chan<- uint64) {
			defer wg.Done()
			for v := range in {
				out <- v*3 + uint64(i)
			}
			close(out)
		}(in, out)
		in = out
	}
	for i := range rounds {
		first <- uint64(i)
		sum = sum*7 + <-in
	}
	close(first)
	wg.Wait()
	return sum
}

func maps() (sum uint64) {
	m := map[string]int{}
	for i := range 200000 {
		m[fmt.Sprintf("key%d", i*7919%50000)] += i
	}
	for i := range 50000 {
		sum = sum*31 + uint64(m[fmt.Sprintf("key%d", i)])
	}
	return sum
}

func sorting() (sum uint64) {
	s := make([]string, 60000)
	x := uint32(1)
	for i := range s {
		x = x*1664525 + 1013904223
		s[i] = fmt.Sprintf("%08x", x)
	}
	slices.Sort(s)
	return uint64(crc32.ChecksumIEEE([]byte(strings.Join(s, ""))))
}

func sha() uint64 {
	buf := make([]byte, 1<<20)
	var h [32]byte
	for i := range 24 {
		buf[i] = h[0]
		h = sha256.Sum256(buf)
	}
	return binary.LittleEndian.Uint64(h[:])
}

func jsons() (sum uint64) {
	type rec struct {
		Name  string
		Vals  []float64
		Inner map[string]int
	}
	r := rec{Name: "goemu", Inner: map[string]int{"a": 1, "b": 2}}
	for i := range 50 {
		r.Vals = append(r.Vals, float64(i)/3)
	}
	for range 400 {
		b, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		r = rec{}
		if err := json.Unmarshal(b, &r); err != nil {
			panic(err)
		}
		sum = sum*33 + uint64(crc32.ChecksumIEEE(b))
	}
	return sum
}
