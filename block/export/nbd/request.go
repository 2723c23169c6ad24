package nbd

import (
	"context"
	"fmt"

	"goemu/block"
	proto "goemu/block/nbdproto"

	"golang.org/x/sys/unix"
)

// cachePiece is the unit in which a range is brought up from backing files.
const cachePiece = 1 << 20

// handle does a request and leaves the reply in it.
func (c *client) handle(ctx context.Context, r *request) {
	b := c.exp.exp.Backend()
	switch r.Type {
	case proto.CmdRead:
		c.read(ctx, r)
	case proto.CmdWrite:
		err := b.Write(ctx, int64(r.From), r.data, r.fua())
		c.reply(r, err, "writing to file failed")
	case proto.CmdWriteZeroes:
		c.exp.data.forget()
		err := b.WriteZeroes(ctx, int64(r.From), int64(r.Len), r.zeroFlags())
		c.reply(r, err, "writing to file failed")
	case proto.CmdFlush:
		c.reply(r, b.Flush(ctx), "flush failed")
	case proto.CmdTrim:
		c.exp.data.forget()
		err := b.Discard(ctx, int64(r.From), int64(r.Len))
		if err == nil && r.Flags&proto.CmdFlagFUA != 0 {
			err = b.Flush(ctx)
		}
		c.reply(r, err, "discard failed")
	case proto.CmdCache:
		c.reply(r, c.cache(ctx, r), "caching data failed")
	case proto.CmdBlockStatus:
		c.blockStatus(ctx, r)
	default:
		c.replyError(r, unix.EINVAL, fmt.Sprintf("invalid request type (%d) received", uint16(r.Type)))
	}
}

func (r *request) fua() block.Flags {
	if r.Flags&proto.CmdFlagFUA != 0 {
		return block.FUA
	}
	return 0
}

func (r *request) zeroFlags() block.Flags {
	fl := r.fua()
	if r.Flags&proto.CmdFlagNoHole == 0 {
		fl |= block.MayUnmap
	}
	if r.Flags&proto.CmdFlagFastZero != 0 {
		fl |= block.NoFallback
	}
	return fl
}

// reply answers a request that has no data to send.
func (c *client) reply(r *request, err error, what string) {
	if err != nil {
		c.replyError(r, errno(err), what)
		return
	}
	c.simple(r, 0)
}

// simple makes a simple reply, without data.
func (c *client) simple(r *request, e unix.Errno) {
	proto.PutSimpleReply(r.head[:], proto.ErrnoToWire(e), r.Cookie)
	r.one[0] = r.head[:proto.SimpleReplySize]
	r.out = r.one[:1]
}

// replyError makes a reply with an error.
func (c *client) replyError(r *request, e unix.Errno, msg string) {
	if !c.structured {
		c.simple(r, e)
		return
	}
	const fixed = 6
	msg = msg[:min(len(msg), proto.MaxString)]
	b := make([]byte, proto.StructuredReplySize, proto.StructuredReplySize+fixed+len(msg))
	proto.PutChunk(b, proto.ReplyFlagDone, proto.ChunkError, r.Cookie, fixed+len(msg))
	b = be.AppendUint32(b, proto.ErrnoToWire(e))
	b = be.AppendUint16(b, uint16(len(msg)))
	r.one[0] = append(b, msg...)
	r.out = r.one[:1]
}

// read does a read request.
func (c *client) read(ctx context.Context, r *request) {
	b := c.exp.exp.Backend()
	if r.Flags&proto.CmdFlagFUA != 0 {
		if err := b.Flush(ctx); err != nil {
			c.replyError(r, errno(err), "flush failed")
			return
		}
	}
	switch {
	case len(r.data) == 0 && c.structured:
		proto.PutChunk(r.head[:], proto.ReplyFlagDone, proto.ChunkNone, r.Cookie, 0)
		r.one[0] = r.head[:proto.StructuredReplySize]
		r.out = r.one[:1]
		return
	case c.structured && r.Flags&proto.CmdFlagDF == 0 && !c.exp.data.covers(int64(r.From), int64(r.Len)):
		c.sparseRead(ctx, r)
		return
	}
	if err := b.Read(ctx, int64(r.From), r.data); err != nil {
		c.replyError(r, errno(err), "reading from file failed")
		return
	}
	size := proto.SimpleReplySize
	if c.structured {
		size = putData(r.head[:], proto.ReplyFlagDone, r.Cookie, r.From, len(r.data))
	} else {
		proto.PutSimpleReply(r.head[:], 0, r.Cookie)
	}
	r.one = [2][]byte{r.head[:size], r.data}
	r.out = r.one[:]
}

// Sizes of the fixed parts of chunks.
const (
	dataHead = 8  // offset
	holeSize = 12 // offset, length
)

// putData writes the head of a chunk of data and returns its size.
func putData(b []byte, flags uint16, cookie, off uint64, n int) int {
	proto.PutChunk(b, flags, proto.ChunkOffsetData, cookie, dataHead+n)
	be.PutUint64(b[proto.StructuredReplySize:], off)
	return proto.StructuredReplySize + dataHead
}

// holeChunk makes a chunk that stands for zeroes.
func holeChunk(flags uint16, cookie, off uint64, n int) []byte {
	b := make([]byte, proto.StructuredReplySize, proto.StructuredReplySize+holeSize)
	proto.PutChunk(b, flags, proto.ChunkOffsetHole, cookie, holeSize)
	return be.AppendUint32(be.AppendUint64(b, off), uint32(n))
}

// sparseRead reads a range that may have holes: zeroes are not sent.
func (c *client) sparseRead(ctx context.Context, r *request) {
	b := c.exp.exp.Backend()
	start, end := int64(r.From), int64(r.From)+int64(len(r.data))
	r.out = r.one[:0]
	for pos := start; pos < end; {
		n, zero, err := c.exp.run(ctx, pos, end)
		if err != nil {
			c.replyError(r, errno(err), "unable to check for holes: "+block.Strerror(errno(err)))
			return
		}
		flags := uint16(0)
		if pos+n == end {
			flags = proto.ReplyFlagDone
		}
		if zero {
			r.out = append(r.out, holeChunk(flags, r.Cookie, uint64(pos), int(n)))
			pos += n
			continue
		}
		data := r.data[pos-start : pos-start+n]
		if err := b.Read(ctx, pos, data); err != nil {
			c.replyError(r, errno(err), "reading from file failed")
			return
		}
		head := r.head[:]
		if len(r.out) > 0 {
			head = make([]byte, proto.StructuredReplySize+dataHead)
		}
		size := putData(head, flags, r.Cookie, uint64(pos), len(data))
		r.out = append(r.out, head[:size], data)
		pos += n
	}
}

// cache copies what is only in backing files into an image that may be written. The rest is left to the host.
func (c *client) cache(ctx context.Context, r *request) error {
	if c.exp.flags&proto.FlagReadOnly != 0 {
		return nil
	}
	buf := make([]byte, min(cachePiece, int(r.Len)))
	for off, end := int64(r.From), int64(r.From)+int64(r.Len); off < end; {
		n := min(int64(len(buf)), end-off)
		if err := c.exp.exp.Backend().ReadV(ctx, off, [][]byte{buf[:n]}, block.CopyOnRead|block.Prefetch); err != nil {
			return err
		}
		off += n
	}
	return nil
}
