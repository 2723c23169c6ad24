package iotests

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

var kills = flag.Int("iotests.kills", 5, "how often TestKilled kills the program that writes an image")

// TestKilled kills the program at any moment while it writes, again and again on the same image. What a flush acknowledged is there, and
// QEMU's check finds leaks at most.
func TestKilled(t *testing.T) {
	testprog.Need(t, "qemu-img")
	bin := build(t)
	const size, cell = 64 << 20, 256 << 10
	for i, options := range []string{"cluster_size=64k", "cluster_size=4k,refcount_bits=64", "extended_l2=on", "lazy_refcounts=on,cluster_size=16k"} {
		t.Run(strings.ReplaceAll(options, ",", " "), func(t *testing.T) {
			t.Parallel()
			s := side{bin, t.TempDir()}
			out, status := s.run(t, fmt.Sprintf("qemu-img create -q -f qcow2 -o %s a.qcow2 %d", options, size))
			require.Zero(t, status, out)
			repair := "leaks"
			if strings.Contains(options, "lazy") {
				repair = "all" // as the next writer would
			}
			r := rand.New(rand.NewPCG(uint64(i), 7))
			kept := map[int]int{} // the patterns that flushes acknowledged, by the number of the cell
			for range *kills {
				s.writeUntilKilled(t, r, kept, size/cell, cell)
				out, err := exec.Command("qemu-img", "check", "-r", repair, filepath.Join(s.dir, "a.qcow2")).CombinedOutput()
				require.NoError(t, err, "%s", out)
				args := []string{"-r", "-c", "read -q 0 4k", filepath.Join(s.dir, "a.qcow2")}
				for c, v := range kept {
					args = append(args, "-c", fmt.Sprintf("read -q -P %d %d 4k", v, c*cell+r.IntN(cell/4096)*4096))
				}
				out, err = exec.Command("qemu-io", args...).CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Empty(t, string(out))
			}
			require.NotEmpty(t, kept)
		})
	}
}

// writeUntilKilled lets qemu-io write cells with patterns, flushing now and then, until it is killed. Cells that were flushed are not
// written again in the same run.
func (s side) writeUntilKilled(t *testing.T, r *rand.Rand, kept map[int]int, cells, cell int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, "qemu-io"), "-f", "qcow2", "-d", "unmap", "a.qcow2")
	cmd.Args[0], cmd.Dir = "qemu-io", s.dir
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	last, delay := r.IntN(6), time.Duration(r.IntN(20000))*time.Microsecond
	acknowledged := make(chan int, cells)
	go func() { // the number of each flush that ended
		defer close(acknowledged)
		for lines, n := bufio.NewScanner(out), 0; lines.Scan(); {
			if strings.Contains(lines.Text(), "offset 12345") { // the read behind a flush
				acknowledged <- n
				if n == last {
					time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
				}
				n++
			}
		}
	}()
	var batches []map[int]int
	order := r.Perm(cells)
	for at := 0; at < cells; {
		batch := map[int]int{}
		for range 1 + r.IntN(12) {
			if at == cells {
				break
			}
			c, v := order[at], 1+r.IntN(255)
			at++
			delete(kept, c)
			batch[c] = v
			if r.IntN(4) == 0 {
				fmt.Fprintf(in, "discard %d %d\n", c*cell, cell)
			}
			fmt.Fprintf(in, "aio_write -q -P %d %d %d\n", v, c*cell, cell)
		}
		batches = append(batches, batch)
		if _, err := fmt.Fprintf(in, "aio_flush\nflush\nread 12345 1\n"); err != nil {
			break
		}
	}
	for n := range acknowledged {
		for c, v := range batches[n] {
			kept[c] = v
		}
	}
	_ = cmd.Wait()
}
