package multifd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"goemu/internal/memory"
	"goemu/migration/ram/ramtest"
	"goemu/migration/wire"
)

// conn is a socket as a channel.
type conn struct{ net.Conn }

// WriteVector implements wire.VectorWriter.
func (c conn) WriteVector(v [][]byte) error {
	b := net.Buffers(v)
	_, err := b.WriteTo(c.Conn)
	return err
}

// finder finds blocks by name, and one that goes nowhere.
func finder(blocks []*memory.RAMBlock) func(string) (Block, bool) {
	return func(name string) (Block, bool) {
		for _, b := range blocks {
			if b.Name() == name {
				return Block{b, b.Size()}, true
			}
		}
		return Block{nil, 8 * memory.PageSize}, name == "pc.bios"
	}
}

// TestPages sends pages that change between marks over some channels; after each mark the other side has what they were.
func TestPages(t *testing.T) {
	for _, c := range []Compression{{Method: "none"}, {"zlib", 0}, {"zlib", 1}, {"zstd", 1}} {
		for _, channels := range []int{1, 3} {
			t.Run(fmt.Sprint(c.Method, c.Level, " over ", channels), func(t *testing.T) {
				send(t, c, channels)
			})
		}
	}
}

func send(t *testing.T, c Compression, channels int) {
	r := rand.New(rand.NewPCG(3, uint64(channels)))
	src := []*memory.RAMBlock{ramtest.NewBlock(t, "pc.ram", 300), ramtest.NewBlock(t, "vga.vram", 40), ramtest.NewBlock(t, "pc.bios", 8)}
	dst := []*memory.RAMBlock{ramtest.NewBlock(t, "pc.ram", 300), ramtest.NewBlock(t, "vga.vram", 40)}
	recv := NewReceiver(c.Method)
	recv.Find = finder(dst)
	recv.OnFail = func() { t.Error(recv.err) }
	var out []wire.VectorWriter
	var ends []net.Conn
	for range channels {
		a, b := net.Pipe()
		out, ends = append(out, conn{a}), append(ends, a, b)
		recv.Add(b)
	}
	s, err := NewSender(out, c)
	if err != nil {
		t.Fatal(err)
	}
	sync := func() {
		t.Helper()
		errs := make(chan error, 1)
		go func() { errs <- recv.Sync() }()
		if err := errors.Join(s.Sync(), <-errs); err != nil {
			t.Fatal(err)
		}
		for i, b := range dst {
			if !bytes.Equal(b.Bytes(), src[i].Bytes()) {
				t.Fatalf("%s differs", b.Name())
			}
		}
	}
	sync()
	for round := range 5 {
		for _, b := range src {
			for p := range b.Size() / memory.PageSize {
				if round > 0 && r.IntN(3) > 0 {
					continue
				}
				page := b.Bytes()[p*memory.PageSize:][:memory.PageSize]
				switch r.IntN(3) {
				case 0: // nothing to compress
					for i := range page {
						page[i] = byte(r.Uint32())
					}
				case 1:
					for i := range page {
						page[i] = byte(i >> 5)
					}
				default:
					page[r.IntN(memory.PageSize)]++
				}
				if err := s.Queue(b, p*memory.PageSize); err != nil {
					t.Fatal(err)
				}
			}
		}
		sync()
	}
	if n := s.Bytes(); n < 348*headSize/MaxPages || c.Method == "none" && n < 348*memory.PageSize {
		t.Errorf("%d bytes sent", n)
	}
	recv.OnFail = nil
	s.Close()
	for _, c := range ends {
		_ = c.Close()
	}
	recv.Close()
}

// TestBroken: neither side waits for a channel that has ended.
func TestBroken(t *testing.T) {
	for _, ends := range []int{0, 1} {
		a, b := net.Pipe()
		c, d := net.Pipe()
		failed := make(chan struct{})
		recv := NewReceiver("none")
		recv.Find, recv.OnFail = finder(nil), func() { close(failed) }
		recv.Add(b)
		recv.Add(d)
		s, err := NewSender([]wire.VectorWriter{conn{a}, conn{c}}, Compression{})
		if err != nil {
			t.Fatal(err)
		}
		_ = []net.Conn{c, d}[ends].Close()
		if err := s.Sync(); err == nil {
			t.Error("the source goes on")
		}
		if err := recv.Sync(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		if ends == 1 { // not as a source ends a channel
			<-failed
		}
		if (recv.Err() != nil) != (ends == 1) || s.Err() == nil {
			t.Error(recv.Err(), s.Err())
		}
		_ = errors.Join(a.Close(), b.Close(), c.Close(), d.Close())
		s.Close()
		recv.Close()
	}
}

// TestBehind: once nothing more is expected, packets without pages are still read, and pages are not taken.
func TestBehind(t *testing.T) {
	pages := channelOf(t, Compression{})
	empty := make([]byte, headSize)
	copy(empty, pages[:8])
	binary.BigEndian.PutUint32(empty[12:], MaxPages)
	for _, c := range []struct {
		behind []byte
		taken  bool
	}{{bytes.Repeat(empty, 2), true}, {pages, false}} {
		block := ramtest.NewBlock(t, "pc.ram", 4)
		recv := NewReceiver("none")
		recv.Find, recv.OnFail = finder([]*memory.RAMBlock{block}), func() { t.Error(recv.err) }
		a, b := net.Pipe()
		recv.Add(b)
		if !recv.Stop() {
			t.Fatal("pages are said to be under way")
		}
		go func() {
			_, _ = a.Write(c.behind)
			_ = a.Close()
		}()
		if !recv.Wait(20 * time.Second) {
			t.Fatal("the channel does not end")
		}
		if rest, _ := io.Copy(io.Discard, b); c.taken && rest != 0 || bytes.Contains(block.Bytes(), []byte("some content")) {
			t.Error("not read, or the pages were taken")
		}
		_ = b.Close()
		recv.Close()
	}

	recv := NewReceiver("none")
	recv.Find = finder([]*memory.RAMBlock{ramtest.NewBlock(t, "pc.ram", 4)})
	a, b := net.Pipe()
	recv.Add(b)
	if _, err := a.Write(pages[:headSize+1]); err != nil {
		t.Fatal(err)
	}
	for under := 0; under == 0; time.Sleep(time.Millisecond) {
		recv.mu.Lock()
		under = recv.filling
		recv.mu.Unlock()
	}
	if recv.Stop() || recv.Wait(time.Millisecond) {
		t.Error("a channel in the midst of pages goes unnoticed")
	}
	_ = errors.Join(a.Close(), b.Close())
	recv.Close()
}

// TestHello: what begins a channel of another migration is refused.
func TestHello(t *testing.T) {
	uuid := []byte("0123456789abcdef")
	good := Hello(uuid, 2)
	if id, err := ReadHello(bytes.NewReader(good), uuid, 3); id != 2 || err != nil {
		t.Error(id, err)
	}
	for want, b := range map[string][]byte{
		"received packet magic 58223344 expected 11223344":                   append([]byte("X"), good[1:]...),
		"received packet version 88 expected 1":                              append(append(bytes.Clone(good[:7]), 'X'), good[8:]...),
		"expected uuid '30313233-3435-3637-3839-616263646566' for channel 2": Hello(nil, 2),
		"received channel number 3 of 3":                                     Hello(uuid, 3),
		"unexpected EOF":                                                     good[:10],
	} {
		if _, err := ReadHello(bytes.NewReader(b), uuid, 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	if id, err := ReadHello(bytes.NewReader(Hello(nil, 0)), nil, 1); id != 0 || err != nil {
		t.Error(id, err)
	}
}

// sink collects what is written to a channel.
type sink struct{ bytes.Buffer }

// WriteVector implements wire.VectorWriter.
func (s *sink) WriteVector(v [][]byte) error {
	for _, b := range v {
		s.Write(b)
	}
	return nil
}

// channelOf is what goes over a channel with three pages.
func channelOf(t testing.TB, c Compression) []byte {
	t.Helper()
	b := ramtest.NewBlock(t, "pc.ram", 4)
	copy(b.Bytes()[memory.PageSize:], "some content")
	out := new(sink)
	s, err := NewSender([]wire.VectorWriter{out}, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []uint64{0, memory.PageSize, 3 * memory.PageSize} {
		if err := s.Queue(b, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	return out.Bytes()
}

// TestRefused: packets that cannot be.
func TestRefused(t *testing.T) {
	good := channelOf(t, Compression{})
	put := func(at int, v ...byte) func([]byte) { return func(b []byte) { copy(b[at:], v) } }
	for want, c := range map[string]struct {
		change func([]byte)
		method string
	}{
		"packet magic":                    {put(0, 'X'), ""},
		"packet version":                  {put(7, 'X'), ""},
		"flags received 2 flags expected": {put(11, 2), ""},
		"flags received 0 flags expected": {put(0), "zstd"},
		"with size 16777344":              {put(12, 1), ""},
		"with 65539 pages":                {put(17, 1), ""},
		"unknown ram block Xc.ram":        {put(fixedSize-nameSize, 'X'), ""},
		"offset too long 4294967296":      {put(fixedSize+3, 1), ""},
		"offset too long 1 ":              {put(fixedSize+7, 1), ""},
	} {
		b := bytes.Clone(good)
		c.change(b)
		if err := load(t, b, c.method); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

// load reads a channel up to its first mark.
func load(t testing.TB, data []byte, method string) error {
	t.Helper()
	r := NewReceiver(method)
	r.Find = finder([]*memory.RAMBlock{ramtest.NewBlock(t, "pc.ram", 4)})
	r.Add(bytes.NewReader(data))
	err := r.Sync()
	r.Close()
	return err
}

// FuzzChannel reads anything: there are pages or an error.
func FuzzChannel(f *testing.F) {
	for i, method := range []string{"none", "zlib", "zstd"} {
		good := channelOf(f, Compression{method, 1})
		f.Add(uint8(i), good)
		f.Add(uint8(i), good[:len(good)*2/3])
	}
	f.Fuzz(func(t *testing.T, method uint8, data []byte) {
		end := time.AfterFunc(20*time.Second, func() { panic("the channel does not end") })
		defer end.Stop()
		if err := load(t, data, []string{"none", "zlib", "zstd"}[method%3]); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
