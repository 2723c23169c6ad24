// Package iotests runs the same commands through QEMU's image tools and goemu's and compares what they print, their exit statuses and the
// images that they leave. Nothing is recorded: Debian's tools are the oracle while the test runs.
package iotests

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// limit is the time that one command may take.
const limit = 60 * time.Second

// side is one of the two implementations: a directory of links to the tools, and a working directory.
type side struct{ bin, dir string }

func TestMain(m *testing.M) { testprog.Main(m) }

// build makes links to goemu under the tools' names.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"goemu", "qemu-img", "qemu-io", "qemu-nbd", "qemu-storage-daemon"} {
		require.NoError(t, os.Symlink(testprog.Goemu(t), filepath.Join(bin, name)))
	}
	return bin
}

// run runs one line; arguments are separated by spaces, those in single quotes stay together.
func (s side) run(t *testing.T, line string) (output string, status int) {
	t.Helper()
	var args []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, args[0]), args[1:]...)
	cmd.Args[0], cmd.Dir = args[0], s.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "%s: no end after %v", line, limit)
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		require.NoError(t, err)
	}
	return normal(out.String()), cmd.ProcessState.ExitCode()
}

// What differs from run to run: times, rates, the host's allocation, dates.
var varying = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`[0-9.:]+( sec)? \([0-9.]+ [A-Za-z]+/sec and [0-9.]+ ops/sec\)`), "TIME (RATE)"},
	{regexp.MustCompile(`disk size: .*`), "disk size: SIZE"},
	{regexp.MustCompile(`"actual-size": [0-9]+`), `"actual-size": SIZE`},
	{regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:]{8}`), "DATE"},
	{regexp.MustCompile(`"date-n?sec": [0-9]+`), `"date": N`},
	{regexp.MustCompile(`in [0-9.]+ seconds`), "in N seconds"},
	{regexp.MustCompile(`bs 0x[0-9a-f]+`), "bs POINTER"},
	{regexp.MustCompile(`cid("?: )[0-9]+`), "cid${1}N"},
}

func normal(s string) string {
	for _, v := range varying {
		s = v.re.ReplaceAllString(s, v.to)
	}
	return s
}

// TestSame runs each script on both sides, step by step. At the end the images must have the same content, and goemu's must be sound.
func TestSame(t *testing.T) {
	oracle := testprog.Need(t, "qemu-img")
	bin := build(t)
	for _, c := range scripts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := side{filepath.Dir(oracle), t.TempDir()}, side{bin, t.TempDir()}
			for _, line := range strings.Split(strings.TrimSpace(abbreviations.Replace(c.lines)), "\n") {
				want, wantStatus := theirs.run(t, line)
				got, status := ours.run(t, line)
				require.Equal(t, want, got, line)
				require.Equal(t, wantStatus, status, line)
			}
			compareImages(t, theirs, ours)
		})
	}
}

// compareImages compares by QEMU's tool the files of both sides that it takes for images.
func compareImages(t *testing.T, theirs, ours side) {
	t.Helper()
	files, err := os.ReadDir(theirs.dir)
	require.NoError(t, err)
	for _, f := range files {
		a, b := filepath.Join(theirs.dir, f.Name()), filepath.Join(ours.dir, f.Name())
		format := strings.TrimPrefix(filepath.Ext(a), ".")
		if exec.Command("qemu-img", "info", "-f", format, a).Run() != nil { // a part of an image, or one that was broken on purpose
			continue
		}
		out, err := exec.Command("qemu-img", "compare", "-f", format, "-F", format, a, b).CombinedOutput()
		require.NoError(t, err, "%s: %s", f.Name(), out)
		if format == "qcow2" {
			out, err = exec.Command("qemu-img", "check", b).CombinedOutput()
			require.NoError(t, err, "%s: %s", f.Name(), out)
		}
	}
}
