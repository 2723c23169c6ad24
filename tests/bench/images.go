package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	imageLimit = 30 * time.Minute
	imageGroup = "image"
	nbdGroup   = "nbd"
	// stretch is the length of the runs of one kind in the test image.
	stretch = 1 << 20
	// serverWait is how long an NBD server may take to listen.
	serverWait = 10 * time.Second
	nbdCount   = "20000"
	nbdDepth   = "16"
)

// toolset is one of the two implementations of the image tools.
type toolset struct {
	img, nbd, daemon []string
	peak             peak
}

// peak is the largest resident sets of any run, KiB: of the tool, and of the server that it uses.
type peak struct{ tool, server int64 }

// mib is what both need at the same time.
func (p peak) mib() float64 { return float64(p.tool+p.server) / 1024 }

// resident is the largest resident set of a process that has ended, KiB.
func resident(cmd *exec.Cmd) int64 {
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss
	}
	return 0
}

// imageWork is a work of the image tools. %in and %out stand for images, %size for their size.
type imageWork struct {
	name, args string
	result     string   // the image that must equal the source afterwards, if any
	prepare    []string // commands of QEMU's tool that come before each run
}

func (w imageWork) String() string { return w.name }

var imageWorks = []imageWork{
	{"raw-qcow2", "convert -f raw -O qcow2 %in.raw %out.qcow2", "%out.qcow2", nil},
	{"qcow2-raw", "convert -f qcow2 -O raw %in.qcow2 %out.raw", "%out.raw", nil},
	{"qcow2-zlib", "convert -c -f qcow2 -O qcow2 %in.qcow2 %out.qcow2", "%out.qcow2", nil},
	{"qcow2-zstd", "convert -c -f qcow2 -O qcow2 -o compression_type=zstd %in.qcow2 %out.qcow2", "%out.qcow2", nil},
	{"zlib-raw", "convert -f qcow2 -O raw %in.zlib %out.raw", "%out.raw", nil},
	{"compare", "compare -f raw -F qcow2 %in.raw %in.qcow2", "", nil},
	{"commit", "commit -q -f qcow2 %out.over", "%out.base", []string{"create -q -f qcow2 %out.base %size",
		"create -q -f qcow2 -b %out.base -F qcow2 %out.over", "convert -n -f raw -O qcow2 %in.raw %out.over"}},
	{"check-1T", "check -f qcow2 %in.huge", "", nil},
}

// images measures the image tools on warm caches.
func images(o options, s *setup, _ [2]*emulator) ([]row, error) {
	size, err := strconv.ParseInt(strings.TrimSuffix(o.imageSize, "M"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("-image-size: %w", err)
	}
	dir := s.dir
	if o.images != "" {
		dir = o.images
	}
	in := filepath.Join(dir, "in")
	if err := makeImages(in, size<<20, func(kind string) bool {
		return kind == "raw" || slices.ContainsFunc(imageWorks, func(w imageWork) bool {
			return o.selected(w.name, imageGroup) && strings.Contains(w.args, "%in."+kind)
		}) || kind == "served" && slices.ContainsFunc(nbdWorks, func(w nbdWork) bool { return o.selected(w.name, nbdGroup) }) ||
			slices.ContainsFunc(mirrorWorks, func(w mirrorWork) bool { return o.selected(w.name, imageGroup) && w.format == kind })
	}); err != nil {
		return nil, err
	}
	goemu := strings.Fields(o.goemu)
	as := func(name string) []string { return append(slices.Clone(goemu), name) }
	pair := [2]*toolset{{img: []string{"qemu-img"}, nbd: []string{"qemu-nbd"}, daemon: []string{"qemu-storage-daemon"}},
		{img: as("img"), nbd: as("nbd"), daemon: as("storage-daemon")}}
	var rows []row
	for _, w := range imageWorks {
		if !o.selected(w.name, imageGroup) {
			continue
		}
		r, err := w.measure(o, s.dir, in, size<<20, pair)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		rows = append(rows, r...)
	}
	for _, part := range []func(o options, dir, in string, size int64, pair [2]*toolset) ([]row, error){mirrors, servers} {
		r, err := part(o, s.dir, in, size<<20, pair)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// makeImages makes the source images that are needed and not there, with QEMU's tool.
func makeImages(in string, size int64, needed func(kind string) bool) error {
	for _, w := range []struct {
		kind string
		make func(name string) error
	}{
		{"raw", func(name string) error { return mixedImage(name, size) }},
		{"served", func(name string) error { return mixedImage(name, size) }}, // which is written to
		{"qcow2", func(name string) error {
			return command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", in+".raw", name)
		}},
		{"zlib", func(name string) error {
			return command("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", in+".raw", name)
		}},
		{"huge", func(name string) error {
			return command("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", name, "1T")
		}},
	} {
		name := in + "." + w.kind
		if _, err := os.Stat(name); err == nil || !needed(w.kind) {
			continue
		}
		if err := w.make(name); err != nil {
			return err
		}
	}
	return nil
}

// mixedImage writes a raw image: of each ten stretches four are holes, one is zeroes, three compress well and two do not.
func mixedImage(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	r := rand.NewChaCha8([32]byte{1})
	random, text := make([]byte, stretch), make([]byte, stretch)
	for off, i := int64(0), 0; off < size; off, i = off+stretch, i+1 {
		var b []byte
		switch i * 7 % 10 {
		case 0, 1, 2, 3:
			continue
		case 4:
			b = make([]byte, stretch)
		case 5, 6, 7:
			r.Read(random[:stretch/16])
			for at := 0; at < stretch; at += 64 {
				copy(text[at:], fmt.Sprintf("entry %08x of %d: %x\n", random[at/64%1024], i, random[at/16:at/16+8]))
			}
			b = text
		default:
			r.Read(random)
			b = random
		}
		if _, err := f.WriteAt(b[:min(stretch, size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// measure runs a work alternately and compares what came out.
func (w imageWork) measure(o options, dir, in string, size int64, pair [2]*toolset) ([]row, error) {
	out := filepath.Join(dir, "out")
	fill := strings.NewReplacer("%in", in, "%out", out, "%size", strconv.FormatInt(size, 10)).Replace
	rows, err := alternate(o.runs, pair, func(p *toolset) ([]result, error) {
		for _, c := range w.prepare {
			if err := command("qemu-img", strings.Fields(fill(c))...); err != nil {
				return nil, err
			}
		}
		if len(w.prepare) > 0 {
			syscall.Sync() // writing that out is not the work
		}
		ns, err := p.run(strings.Fields(fill(w.args)))
		if err != nil {
			return nil, err
		}
		if w.result != "" {
			if err := command("qemu-img", "compare", "-f", "raw", in+".raw", fill(w.result)); err != nil {
				return nil, err
			}
		}
		return one(w.name, imageGroup, ns), removeAll(out + ".*")
	})
	return withPeaks(rows, pair), err
}

// withPeaks puts the peaks of memory into the rows of one work.
func withPeaks(rows []row, pair [2]*toolset) []row {
	for i := range rows {
		rows[i].QEMURSS, rows[i].GoemuRSS = pair[0].peak.mib(), pair[1].peak.mib()
	}
	pair[0].peak, pair[1].peak = peak{}, peak{}
	return rows
}

// removeAll removes the files that match.
func removeAll(pattern string) error {
	names, err := filepath.Glob(pattern)
	for _, n := range names {
		if e := os.Remove(n); err == nil {
			err = e
		}
	}
	return err
}

// run runs the image tool and returns the wall time.
func (p *toolset) run(args []string) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), imageLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.img[0], append(slices.Clone(p.img[1:]), args...)...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail(out))
	}
	p.peak.tool = max(p.peak.tool, resident(cmd))
	return float64(took), nil
}

// nbdWork is a work of the NBD servers: arguments of "bench", or none for the copier.
type nbdWork struct {
	name string
	args []string
}

func (w nbdWork) String() string { return w.name }

var nbdWorks = []nbdWork{
	{"nbd-read4k", []string{"-s", "4096", "-S", "1118208"}},
	{"nbd-write4k", []string{"-w", "-s", "4096", "-S", "1118208"}},
	{"nbd-read2M", []string{"-s", "2097152", "-c", "200"}},
	{"nbd-write2M", []string{"-w", "-s", "2097152", "-c", "200"}},
	{"nbd-copy", nil},
}

// servers measures small requests through a server, each tool with its own.
func servers(o options, dir, in string, _ int64, pair [2]*toolset) (rows []row, err error) {
	for _, w := range nbdWorks {
		if !o.selected(w.name, nbdGroup) {
			continue
		}
		if _, err := exec.LookPath(copier); err != nil && w.args == nil {
			fmt.Fprintf(os.Stderr, "%s: skipped: %s is not installed\n", w.name, copier)
			continue
		}
		r, err := alternate(o.runs, pair, func(p *toolset) ([]result, error) {
			ns, err := p.overNBD(dir, in+".served", w.args)
			return one(w.name, nbdGroup, ns), err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		rows = append(rows, withPeaks(r, pair)...)
	}
	return rows, nil
}

// copier is a client by others that reads a whole export, with many requests in flight.
const copier = "nbdcopy"

// overNBD serves the image and runs "bench" on it, or the copier without arguments.
func (p *toolset) overNBD(dir, image string, args []string) (float64, error) {
	sock := filepath.Join(dir, "nbd.sock")
	os.Remove(sock)
	ctx, cancel := context.WithTimeout(context.Background(), imageLimit)
	defer cancel()
	server := exec.CommandContext(ctx, p.nbd[0], append(slices.Clone(p.nbd[1:]), "-k", sock, "-f", "raw", "-t", image)...)
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
		p.peak.server = max(p.peak.server, resident(server))
	}()
	for deadline := time.Now().Add(serverWait); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(sock); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s does not listen", p.nbd[0])
		}
	}
	uri := "nbd+unix:///?socket=" + sock
	if args == nil {
		start := time.Now()
		err := command(copier, uri, "null:")
		return float64(time.Since(start)), err
	}
	return p.run(append(append([]string{"bench", "-f", "raw", "-c", nbdCount, "-d", nbdDepth}, args...), uri))
}
