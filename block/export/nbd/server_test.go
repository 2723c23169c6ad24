package nbd

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/block/export"
	proto "goemu/block/nbdproto"
	"goemu/internal/testprog"
)

const imageSize = 1<<20 + 512

// newImage makes a raw image with data, a hole, data and a last sector that is data.
func newImage(t testing.TB) string {
	name := filepath.Join(t.TempDir(), "disk")
	data := make([]byte, 256<<10)
	rand.NewChaCha8([32]byte{7}).Read(data)
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	for _, off := range []int64{0, 512 << 10} {
		_, err = f.WriteAt(data, off)
		require.NoError(t, err)
	}
	_, err = f.WriteAt(data[:512], imageSize-512)
	require.NoError(t, err)
	require.NoError(t, f.Sync()) // what the host says of ranges of zeroes depends on that
	return name
}

// newServer exports the image.
func newServer(t testing.TB, image string, o export.Options, no ExportOptions) *Server {
	g := block.NewGraph(driver.All())
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(context.Background(), image, block.OptionsOf("driver", "raw"), block.Mode{ReadOnly: !o.Writable, Unmap: true})
	require.NoError(t, err)
	list := export.NewList(g)
	s := NewServer()
	s.MaxConnections = 0
	o.ID, o.Node = "e", n
	_, err = s.Add(context.Background(), list, o, no)
	require.NoError(t, err)
	g.Unref(n)
	t.Cleanup(func() { list.CloseAll(""); s.Stop() })
	return s
}

// script is what a client sends.
type script struct{ b []byte }

func client2(flags uint32) *script { return &script{be.AppendUint32(nil, flags)} }

func (s *script) opt(o proto.Opt, payload ...any) *script {
	p := pack(payload...)
	s.b = append(s.b, pack(uint64(proto.MagicOption), uint32(o), uint32(len(p)), p)...)
	return s
}

func (s *script) raw(parts ...any) *script { s.b = append(s.b, pack(parts...)...); return s }

func (s *script) req(flags uint16, t proto.Cmd, cookie, from uint64, n uint32, data ...any) *script {
	r := proto.Request{Flags: flags, Type: t, Cookie: cookie, From: from, Len: n}
	head := make([]byte, proto.RequestSize)
	r.Put(head)
	return s.raw(append([]any{head}, data...)...)
}

// pack writes values in network order; a string has its length in front.
func pack(parts ...any) (b []byte) {
	for _, p := range parts {
		switch v := p.(type) {
		case uint16:
			b = be.AppendUint16(b, v)
		case uint32:
			b = be.AppendUint32(b, v)
		case uint64:
			b = be.AppendUint64(b, v)
		case string:
			b = append(be.AppendUint32(b, uint32(len(v))), v...)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

const both = proto.HandshakeFixedNewstyle | proto.HandshakeNoZeroes

// start opens the export with structured replies and two contexts.
func start() *script {
	return client2(both).opt(proto.OptStructuredReply).
		opt(proto.OptSetMetaContext, "e", uint32(2), "base:allocation", "qemu:allocation-depth").
		opt(proto.OptGo, "e", uint16(1), uint16(proto.InfoBlockSize))
}

var long = string(bytes.Repeat([]byte("x"), 200))

// conversations are sent to this server and to QEMU's, which must answer alike. Requests are made one at a time.
var conversations = map[string][]*script{
	"list":           {client2(both).opt(proto.OptList).opt(proto.OptAbort)},
	"list, payload":  {client2(both).opt(proto.OptList, "junk").opt(proto.OptAbort)},
	"unknown option": {client2(both).opt(77, []byte("abc")).opt(proto.OptAbort)},
	"starttls":       {client2(both).opt(proto.OptStartTLS).opt(proto.OptStartTLS, "x").opt(proto.OptAbort)},
	"structured twice": {client2(both).opt(proto.OptStructuredReply).opt(proto.OptStructuredReply).
		opt(proto.OptStructuredReply, "x").opt(proto.OptAbort)},
	"info": {client2(both).opt(proto.OptInfo, "e", uint16(0)).opt(proto.OptInfo, "e", uint16(2), uint16(proto.InfoName), uint16(proto.InfoBlockSize)).
		opt(proto.OptInfo, "nope", uint16(0)).opt(proto.OptInfo, long, uint16(0)).opt(proto.OptAbort)},
	"info, malformed": {client2(both).opt(proto.OptInfo).opt(proto.OptInfo, "e").opt(proto.OptInfo, "e", uint16(5), uint16(1)).
		opt(proto.OptInfo, uint32(99999), []byte("abc")).opt(proto.OptInfo, "a\x00b", uint16(0)).opt(proto.OptInfo, "e", uint16(0), []byte("rest")).
		opt(proto.OptInfo, uint32(100), []byte("abc")).opt(proto.OptAbort)},
	"contexts without structured": {client2(both).opt(proto.OptSetMetaContext, "e", uint32(0)).opt(proto.OptAbort)},
	"list contexts": {client2(both).opt(proto.OptListMetaContext, "e", uint32(0)).opt(proto.OptListMetaContext, "e", uint32(1), "base:").
		opt(proto.OptListMetaContext, "e", uint32(1), "qemu:").opt(proto.OptListMetaContext, "e", uint32(3), "base:x", "foo:", "qemu:dirty-bitmap:").
		opt(proto.OptListMetaContext, "nope", uint32(0)).opt(proto.OptAbort)},
	"set contexts": {client2(both).opt(proto.OptStructuredReply).opt(proto.OptSetMetaContext, "e", uint32(0)).
		opt(proto.OptSetMetaContext, "e", uint32(2), "base:", "qemu:").opt(proto.OptSetMetaContext, "e", uint32(2), "base:allocation", "qemu:allocation-depth").
		opt(proto.OptSetMetaContext, long, uint32(2)).opt(proto.OptSetMetaContext, "e", uint32(3), "base:allocation").
		opt(proto.OptSetMetaContext, "e", uint32(1), uint32(5000), bytes.Repeat([]byte("y"), 5000)).opt(proto.OptAbort)},
	"export name": {client2(both).raw(uint64(proto.MagicOption), uint32(proto.OptExportName), "e"),
		new(script).req(0, proto.CmdRead, 1, 0, 512), new(script).req(0, proto.CmdRead, 2, imageSize, 1), new(script).req(0, proto.CmdDisc, 3, 0, 0)},
	"export name, zeroes": {client2(proto.HandshakeFixedNewstyle).raw(uint64(proto.MagicOption), uint32(proto.OptExportName), "e"),
		new(script).req(0, proto.CmdDisc, 3, 0, 0)},
	"not fixed":     {client2(0).opt(proto.OptList)},
	"unknown flags": {client2(1 << 9)},
	"bad magic":     {client2(both).raw(uint64(1))},
	"huge option":   {client2(both).raw(uint64(proto.MagicOption), uint32(proto.OptInfo), uint32(1<<30))},
	"requests": {start(),
		new(script).req(0, proto.CmdRead, 1, 0, 4096),
		new(script).req(0, proto.CmdRead, 2, 300<<10, 4096),
		new(script).req(proto.CmdFlagDF, proto.CmdRead, 3, 250<<10, 16384),
		new(script).req(0, proto.CmdRead, 4, 250<<10, 16384),
		new(script).req(0, proto.CmdRead, 5, 100, 13),
		new(script).req(0, proto.CmdRead, 6, 0, 0),
		new(script).req(proto.CmdFlagFUA, proto.CmdRead, 6, 0, 512),
		new(script).req(0, proto.CmdRead, 7, imageSize-100, 101),
		new(script).req(0, proto.CmdRead, 8, 1<<63, 1),
		new(script).req(0, proto.CmdRead, 9, 0, 32<<20+1),
		new(script).req(0, proto.CmdBlockStatus, 10, 0, imageSize),
		new(script).req(proto.CmdFlagReqOne, proto.CmdBlockStatus, 11, 300<<10, imageSize-300<<10),
		new(script).req(0, proto.CmdBlockStatus, 12, 0, 0),
		new(script).req(proto.CmdFlagDF, proto.CmdWrite, 13, 0, 4, []byte("abcd")),
		new(script).req(0, proto.CmdWrite, 14, 10, 4, []byte("abcd")),
		new(script).req(proto.CmdFlagFUA, proto.CmdWrite, 15, 300<<10, 4, []byte("abcd")),
		new(script).req(0, proto.CmdWriteZeroes, 16, 4096, 65536),
		new(script).req(proto.CmdFlagNoHole|proto.CmdFlagFUA, proto.CmdWriteZeroes, 17, 600<<10, 65536),
		new(script).req(proto.CmdFlagReqOne, proto.CmdWriteZeroes, 18, 0, 512),
		new(script).req(0, proto.CmdFlush, 19, 0, 0),
		new(script).req(proto.CmdFlagFUA, proto.CmdTrim, 20, 700<<10, 4096),
		new(script).req(0, proto.CmdCache, 21, 0, imageSize),
		new(script).req(0, proto.CmdWrite, 22, imageSize, 4, []byte("abcd")),
		new(script).req(0, proto.CmdTrim, 22, imageSize, 4),
		new(script).req(0, 99, 23, 0, 0),
		new(script).req(0, proto.CmdRead, 24, 0, 16384),
		new(script).req(0, proto.CmdBlockStatus, 25, 0, imageSize),
		new(script).req(0, proto.CmdDisc, 26, 0, 0)},
	"bad request":   {start(), new(script).raw(bytes.Repeat([]byte("z"), proto.RequestSize))},
	"oversize data": {start(), new(script).req(0, proto.CmdWrite, 1, 0, 32<<20+1)},
	"no contexts": {client2(both).opt(proto.OptStructuredReply).opt(proto.OptGo, "e", uint16(0)),
		new(script).req(0, proto.CmdBlockStatus, 1, 0, 512), new(script).req(0, proto.CmdDisc, 2, 0, 0)},
	"other export's contexts": {client2(both).opt(proto.OptStructuredReply).opt(proto.OptSetMetaContext, "", uint32(1), "base:allocation").
		opt(proto.OptGo, "e", uint16(0)), new(script).req(0, proto.CmdBlockStatus, 1, 0, 512), new(script).req(0, proto.CmdDisc, 2, 0, 0)},
}

// An answer has to begin within patience; it has ended when nothing more came for quiet and it is as long as the one that is known.
const (
	patience = time.Minute
	quiet    = 500 * time.Millisecond
)

// talk sends the parts one after another, each when the answer to the one before has come, and returns all answers. known are those of
// another server, if there are any.
func talk(addr string, parts []*script, known [][]byte) (answers [][]byte) {
	conn, err := net.Dial("unix", addr)
	if err != nil {
		return [][]byte{[]byte(err.Error())}
	}
	defer conn.Close()
	buf := make([]byte, 1<<21)
	for i, p := range append([]*script{{}}, parts...) {
		conn.Write(p.b)
		var got []byte
		least := 1
		if i < len(known) {
			least = len(known[i])
		}
		for {
			wait := quiet
			if len(got) < least {
				wait = patience
			}
			conn.SetReadDeadline(time.Now().Add(wait))
			n, err := conn.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				return append(answers, append(got, "EOF"...))
			}
			if err != nil {
				break
			}
		}
		answers = append(answers, got)
	}
	return answers
}

// normalise joins the chunks of reads, which may be cut differently, into the data that they carry.
func normalise(b []byte) []byte {
	const head = proto.StructuredReplySize
	var out []byte
	for len(b) >= head && be.Uint32(b) == proto.MagicStructuredReply {
		n := head + int(be.Uint32(b[16:]))
		if n > len(b) {
			break
		}
		switch proto.Chunk(be.Uint16(b[6:])) {
		case proto.ChunkOffsetData:
			out = append(out, b[head+8:n]...)
		case proto.ChunkOffsetHole:
			out = append(out, make([]byte, binary.BigEndian.Uint32(b[head+8:]))...)
		default:
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return append(out, b...)
}

func TestAgainstQEMU(t *testing.T) {
	prog := testprog.Need(t, "qemu-nbd")
	for name, parts := range conversations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "nbd") // short enough for a socket
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			theirs := filepath.Join(dir, "q")
			cmd := exec.Command(prog, "-f", "raw", "-t", "-e", "0", "-A", "-D", "text", "--discard", "unmap", "-x", "e", "-k", theirs, newImage(t))
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

			s := newServer(t, newImage(t), export.Options{Writable: true}, ExportOptions{Name: "e", Description: "text", AllocationDepth: true})
			ours := filepath.Join(dir, "g")
			l, err := net.Listen("unix", ours)
			require.NoError(t, err)
			s.Serve(l)
			require.Eventually(t, func() bool { return canDial(theirs) }, 10*time.Second, 20*time.Millisecond)
			want := talk(theirs, parts, nil)
			got := talk(ours, parts, want)
			require.Equal(t, len(want), len(got), "answers until the connection ends")
			for i := range want {
				require.Equal(t, normalise(want[i]), normalise(got[i]), "answer %d", i)
			}
		})
	}
}

// TestSilentReader has a client that asks for much and reads nothing: others are served, memory stays bounded, and Stop does not wait.
func TestSilentReader(t *testing.T) {
	s := newServer(t, newImage(t), export.Options{Writable: true}, ExportOptions{Name: "e"})
	dir, err := os.MkdirTemp("", "nbd")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	addr := filepath.Join(dir, "s")
	l, err := net.Listen("unix", addr)
	require.NoError(t, err)
	s.Serve(l)
	silent, err := net.Dial("unix", addr)
	require.NoError(t, err)
	defer silent.Close()
	ask := start()
	for i := range uint64(500) {
		ask.req(0, proto.CmdRead, i, 0, 1<<20)
	}
	silent.SetWriteDeadline(time.Now().Add(time.Second))
	silent.Write(ask.b)
	answers := talk(addr, []*script{start(), new(script).req(0, proto.CmdRead, 1, 0, 4096), new(script).req(0, proto.CmdDisc, 2, 0, 0)}, nil)
	require.Len(t, normalise(answers[2]), 4096, "another client is served")
	var c *client
	s.mu.Lock()
	for c = range s.exports[0].clients {
	}
	s.mu.Unlock()
	c.gate.mu.Lock()
	require.LessOrEqual(t, c.gate.bytes, int64(maxInFlight))
	require.LessOrEqual(t, c.gate.n, maxRequests)
	require.NotZero(t, c.gate.n)
	c.gate.mu.Unlock()
	done := make(chan bool)
	go func() { s.Stop(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the server waits for the silent client")
	}
}

func canDial(addr string) bool {
	c, err := net.Dial("unix", addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// FuzzServer lets a client send anything, to negotiate and after that.
func FuzzServer(f *testing.F) {
	for _, parts := range conversations {
		var all []byte
		for _, p := range parts {
			all = append(all, p.b...)
		}
		f.Add(all)
	}
	s := newServer(f, newImage(f), export.Options{Writable: true}, ExportOptions{Name: "e", Description: "text", AllocationDepth: true})
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := net.Pipe()
		s.mu.Lock()
		s.conns[far] = true
		s.wg.Add(1)
		s.mu.Unlock()
		go s.serveConn(far)
		go func() {
			near.Write(b)
			time.Sleep(time.Millisecond)
			near.Close()
		}()
		io.Copy(io.Discard, near)
	})
}
