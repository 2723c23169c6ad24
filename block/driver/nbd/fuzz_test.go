package nbd

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	proto "goemu/block/nbdproto"
)

// serve sends b to whoever connects and reads what comes.
func serve(b []byte) net.Conn {
	near, far := net.Pipe()
	go io.Copy(io.Discard, far)
	go func() {
		far.Write(b)
		time.Sleep(time.Millisecond)
		far.Close()
	}()
	return near
}

// FuzzNegotiate lets a server send anything in the negotiation.
func FuzzNegotiate(f *testing.F) {
	be := binary.BigEndian
	head := be.AppendUint64(be.AppendUint64(nil, proto.MagicInit), proto.MagicOption)
	f.Add(append(be.AppendUint64(be.AppendUint64(nil, proto.MagicInit), proto.MagicOldstyle), make([]byte, 150)...))
	b := be.AppendUint16(head, proto.HandshakeFixedNewstyle|proto.HandshakeNoZeroes)
	b = proto.AppendOptionReply(b, proto.OptStructuredReply, proto.RepAck, 0)
	f.Add(b)
	c := append(proto.AppendOptionReply(b, proto.OptSetMetaContext, proto.RepMetaContext, 4+15), "\x00\x00\x00\x01base:allocation"...)
	c = proto.AppendOptionReply(c, proto.OptSetMetaContext, proto.RepAck, 0)
	c = append(proto.AppendOptionReply(c, proto.OptGo, proto.RepInfo, 14), 0, 3, 0, 0, 0, 1, 0, 0, 16, 0, 2, 0, 0, 0)
	c = append(proto.AppendOptionReply(c, proto.OptGo, proto.RepInfo, 12), 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1)
	f.Add(proto.AppendOptionReply(c, proto.OptGo, proto.RepAck, 0))
	l := append(proto.AppendOptionReply(b, proto.OptList, proto.RepServer, 5), "\x00\x00\x00\x01e"...)
	f.Add(proto.AppendOptionReply(l, proto.OptList, proto.RepAck, 0))
	f.Add(append(proto.AppendOptionReply(b, proto.OptGo, proto.RepErrTLSReqd, 3), "why"...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		d := proto.Dialer{Context: proto.ContextAllocation, RequestSizes: true}
		conn := serve(b)
		d.Negotiate(conn, "e")
		conn.Close()
		conn = serve(b)
		d.List(conn)
		conn.Close()
	})
}

// FuzzReplies lets a server answer requests with anything.
func FuzzReplies(f *testing.F) {
	const cookieRead, cookieStatus = 1 << 16, 2<<16 | 1
	chunk := func(flags uint16, t proto.Chunk, cookie uint64, payload string) []byte {
		b := make([]byte, proto.StructuredReplySize)
		proto.PutChunk(b, flags, t, cookie, len(payload))
		return append(b, payload...)
	}
	simple := make([]byte, proto.SimpleReplySize)
	proto.PutSimpleReply(simple, 0, cookieRead)
	f.Add(append(simple, make([]byte, 4096)...), false)
	f.Add(chunk(1, proto.ChunkOffsetHole, cookieRead, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00"), true)
	f.Add(append(chunk(0, proto.ChunkOffsetData, cookieRead, "\x00\x00\x00\x00\x00\x00\x00\x00data"), chunk(1, proto.ChunkNone, cookieRead, "")...), true)
	f.Add(chunk(1, proto.ChunkBlockStatus, cookieStatus, "\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x03"), true)
	f.Add(chunk(1, proto.ChunkError, cookieRead, "\x00\x00\x00\x05\x00\x02no"), true)
	f.Fuzz(func(t *testing.T, b []byte, structured bool) {
		conn := serve(b)
		l := newLink(conn, conn, proto.ExportInfo{StructuredReply: structured, Context: true})
		done := make(chan bool)
		for _, c := range []*call{
			{req: proto.Request{Type: proto.CmdRead, Len: 4096}, in: [][]byte{make([]byte, 1000), make([]byte, 3096)}},
			{req: proto.Request{Type: proto.CmdBlockStatus, Len: 4096}},
		} {
			go func() { l.do(c); done <- true }()
		}
		<-done
		<-done
		l.close()
	})
}
