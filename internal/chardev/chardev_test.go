package chardev

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// testLoop runs posted functions on a goroutine of its own, as the main loop does.
type testLoop struct {
	mu   sync.Mutex // the machine lock
	c    chan func()
	done chan struct{}
}

func newLoop(t *testing.T) *testLoop {
	l := &testLoop{c: make(chan func(), 1000), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for f := <-l.c; f != nil; f = <-l.c {
			l.mu.Lock()
			f()
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() { l.c <- nil; <-l.done }) // what is posted after that stays there
	return l
}

func (l *testLoop) Post(f func()) { l.c <- f }

// sync waits until everything posted has run.
func (l *testLoop) sync() {
	c := make(chan struct{})
	l.Post(func() { close(c) })
	<-c
}

// fakeFront takes up to room bytes.
type fakeFront struct {
	mu     sync.Mutex
	got    []byte
	room   int
	events []Event
}

func (f *fakeFront) CanRead() int { f.mu.Lock(); defer f.mu.Unlock(); return f.room }
func (f *fakeFront) Read(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p) > f.room {
		panic("more than CanRead")
	}
	f.got = append(f.got, p...)
	f.room -= len(p)
}
func (f *fakeFront) Event(e Event) { f.mu.Lock(); f.events = append(f.events, e); f.mu.Unlock() }
func (f *fakeFront) text() string  { f.mu.Lock(); defer f.mu.Unlock(); return string(f.got) }
func (f *fakeFront) saw(e Event) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.IndexByte(eventBytes(f.events), byte(e)) >= 0
}

func eventBytes(ev []Event) (b []byte) {
	for _, e := range ev {
		b = append(b, byte(e))
	}
	return b
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout: ", what)
		}
	}
}

func open(t *testing.T, l *testLoop, text string, hooks Hooks) (*Set, *Backend) {
	t.Helper()
	cs := NewSet(l, hooks)
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cs.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cs.Close)
	return cs, b
}

func attach(t *testing.T, l *testLoop, b *Backend, f Frontend) *Port {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := b.Attach(f)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFile(t *testing.T) {
	l := newLoop(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "a,b")
	cs, b := open(t, l, "file,id=a,path="+strings.ReplaceAll(path, ",", ",,")+",logfile="+dir+"/log", Hooks{})
	p := attach(t, l, b, &fakeFront{})
	for range 1000 {
		if n := p.Write([]byte("0123456789")); n != 10 {
			t.Fatal("short write: ", n)
		}
	}
	if _, err := b.Attach(&fakeFront{}); err == nil || err.Error() != "Device 'a' is in use" {
		t.Errorf("second frontend: %v", err)
	}
	cs.Close()
	for _, f := range []string{path, dir + "/log"} {
		if got, _ := os.ReadFile(f); string(got) != strings.Repeat("0123456789", 1000) {
			t.Errorf("%s has %d bytes", f, len(got))
		}
	}
}

func TestBackpressure(t *testing.T) {
	l := newLoop(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "p")
	for _, n := range []string{fifo + ".in", fifo + ".out"} {
		if err := unix.Mkfifo(n, 0o600); err != nil {
			t.Skip("no fifos: ", err)
		}
	}
	_, b := open(t, l, "pipe,id=a,path="+fifo, Hooks{})
	f := &fakeFront{}
	p := attach(t, l, b, f)
	total := 0
	for i := 0; i < 200; i++ { // 200 times 4 KiB is more than the pipe and the queue take
		n := p.Write(make([]byte, 4096))
		total += n
		if n < 4096 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	if total >= 200*4096 || total < outputLimit {
		t.Fatalf("took %d bytes with nobody reading", total)
	}
	ready := make(chan bool, 1)
	p.OnWritable(func() { ready <- true })
	r, err := os.OpenFile(fifo+".out", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.ReadFull(r, make([]byte, total)); err != nil {
		t.Fatal(n, err)
	}
	select {
	case <-ready:
	case <-time.After(5 * time.Second):
		t.Fatal("no writable callback")
	}
}

func TestInputFlow(t *testing.T) {
	l := newLoop(t)
	sock := filepath.Join(t.TempDir(), "s")
	_, b := open(t, l, "socket,id=a,server=on,wait=off,path="+sock, Hooks{})
	if got := b.Name(); got != "disconnected:unix:"+sock+",server=on" {
		t.Errorf("name %q", got)
	}
	f := &fakeFront{room: 10}
	p := attach(t, l, b, f)
	p.Write([]byte("dropped: nobody is connected"))
	for round := range 2 { // a second client is served after the first
		c, err := net.Dial("unix", sock)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "connect", b.Connected)
		l.sync()
		if !f.saw(Opened) {
			t.Error("no opened event")
		}
		data := bytes.Repeat([]byte("abcdefgh"), 4000)
		go c.Write(data)
		for want := 10; want <= len(data); want += 3199 {
			eventually(t, "input", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.room == 0 })
			f.mu.Lock()
			f.room = 3199
			f.mu.Unlock()
			p.AcceptInput()
		}
		f.mu.Lock()
		f.room = 1 << 20
		f.mu.Unlock()
		p.AcceptInput()
		eventually(t, "rest", func() bool { return f.text() == string(data) })
		p.Write([]byte("hello"))
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("round %d: read %q %v", round, buf, err)
		}
		c.Close()
		eventually(t, "disconnect", func() bool { return !b.Connected() })
		l.sync()
		if !f.saw(Closed) {
			t.Error("no closed event")
		}
		f.mu.Lock()
		f.got, f.room, f.events = nil, 10, nil
		f.mu.Unlock()
	}
}

func TestClientReconnect(t *testing.T) {
	l := newLoop(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	_, b := open(t, l, "socket,id=a,host="+host+",port="+port+",reconnect=1,nodelay=on", Hooks{})
	p := attach(t, l, b, &fakeFront{})
	for range 2 {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "connected", b.Connected)
		p.Write([]byte("x"))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		eventually(t, "gone", func() bool { return !b.Connected() })
	}
}

func TestPTY(t *testing.T) {
	l := newLoop(t)
	var notice string
	cs := NewSet(l, Hooks{Print: func(s string) { notice = s }})
	t.Cleanup(cs.Close)
	b, err := cs.OpenLegacy("", "serial0", "pty")
	if err != nil {
		t.Skip("no pseudo terminal: ", err)
	}
	name := strings.TrimPrefix(b.Name(), "pty:")
	if notice != "char device redirected to "+name+" (label serial0)" {
		t.Errorf("notice %q", notice)
	}
	f := &fakeFront{room: 100}
	p := attach(t, l, b, f)
	p.Write(make([]byte, 100)) // dropped
	s, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Write([]byte("in\r\x03"))
	eventually(t, "input", func() bool { return f.text() == "in\r\x03" })
	p.Write([]byte("out\n"))
	buf := make([]byte, 4)
	if _, err := io.ReadFull(s, buf); err != nil || string(buf) != "out\n" {
		t.Fatalf("read %q %v", buf, err)
	}
}

func TestRing(t *testing.T) {
	l := newLoop(t)
	_, b := open(t, l, "ringbuf,id=r,size=16", Hooks{})
	p := attach(t, l, b, &fakeFront{})
	p.Write([]byte("0123456789abcdefXYZ"))
	if got := string(b.Ring().Read(4)); got != "3456" {
		t.Errorf("read %q", got)
	}
	if got := string(b.Ring().Read(100)); got != "789abcdefXYZ" {
		t.Errorf("read %q", got)
	}
}

// TestLogOfDropped: output that nobody gets is in the log all the same.
func TestLogOfDropped(t *testing.T) {
	l := newLoop(t)
	log := t.TempDir() + "/log"
	for _, kind := range []string{"null,id=a", "pty,id=b", "socket,id=c,server=on,wait=off,path=" + t.TempDir() + "/s"} {
		cs, b := open(t, l, kind+",logappend=on,logfile="+log, Hooks{})
		attach(t, l, b, &fakeFront{}).WriteAll([]byte(kind[:4] + "\n"))
		cs.Close()
	}
	if data, _ := os.ReadFile(log); string(data) != "null\npty,\nsock\n" {
		t.Errorf("the log is %q", data)
	}
}

// orderFront notes whether input came before it was told of the connection.
type orderFront struct {
	fakeFront
	early bool
}

func (f *orderFront) Read(p []byte) {
	f.early = f.early || !f.saw(Opened)
	f.fakeFront.Read(p)
}

// TestOpenedFirst: input that waits for the frontend comes after the news of the connection. (A monitor took what came before for a former
// client's and answered none of it.)
func TestOpenedFirst(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, []byte("input"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLoop(t)
	for range 500 {
		cs, b := open(t, l, "file,id=a,path="+dir+"/out,input-path="+in, Hooks{})
		f := &orderFront{fakeFront: fakeFront{room: 100}}
		if _, err := b.AttachOn(l, f); err != nil {
			t.Fatal(err)
		}
		eventually(t, "input", func() bool { return f.text() == "input" })
		if l.sync(); f.early {
			t.Fatal("input before the connection")
		}
		cs.Close()
	}
}
