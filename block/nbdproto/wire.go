package nbdproto

import "encoding/binary"

var be = binary.BigEndian

// Request is a request of the transmission phase.
type Request struct {
	Flags  uint16
	Type   Cmd
	Cookie uint64
	From   uint64
	Len    uint32
}

// Put writes the request to b, which has RequestSize bytes.
func (r *Request) Put(b []byte) {
	be.PutUint32(b, MagicRequest)
	be.PutUint16(b[4:], r.Flags)
	be.PutUint16(b[6:], uint16(r.Type))
	be.PutUint64(b[8:], r.Cookie)
	be.PutUint64(b[16:], r.From)
	be.PutUint32(b[24:], r.Len)
}

// ParseRequest reads a request of RequestSize bytes; ok is false if its magic is wrong.
func ParseRequest(b []byte) (r Request, magic uint32, ok bool) {
	magic = be.Uint32(b)
	r = Request{Flags: be.Uint16(b[4:]), Type: Cmd(be.Uint16(b[6:])), Cookie: be.Uint64(b[8:]), From: be.Uint64(b[16:]), Len: be.Uint32(b[24:])}
	return r, magic, magic == MagicRequest
}

// PutSimpleReply writes a simple reply of SimpleReplySize bytes.
func PutSimpleReply(b []byte, errno uint32, cookie uint64) {
	be.PutUint32(b, MagicSimpleReply)
	be.PutUint32(b[4:], errno)
	be.PutUint64(b[8:], cookie)
}

// PutChunk writes the head of a chunk, StructuredReplySize bytes.
func PutChunk(b []byte, flags uint16, t Chunk, cookie uint64, length int) {
	be.PutUint32(b, MagicStructuredReply)
	be.PutUint16(b[4:], flags)
	be.PutUint16(b[6:], uint16(t))
	be.PutUint64(b[8:], cookie)
	be.PutUint32(b[16:], uint32(length))
}

// AppendOptionReply appends the head of a reply to an option.
func AppendOptionReply(b []byte, o Opt, t Rep, length int) []byte {
	b = be.AppendUint64(b, MagicOptionReply)
	b = be.AppendUint32(b, uint32(o))
	b = be.AppendUint32(b, uint32(t))
	return be.AppendUint32(b, uint32(length))
}

// appendOption appends an option with its payload.
func appendOption(b []byte, o Opt, payload []byte) []byte {
	b = be.AppendUint64(b, MagicOption)
	b = be.AppendUint32(b, uint32(o))
	b = be.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// appendString appends a length and the bytes of s.
func appendString(b []byte, s string) []byte {
	return append(be.AppendUint32(b, uint32(len(s))), s...)
}
