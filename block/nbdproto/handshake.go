package nbdproto

import (
	"fmt"
	"math/bits"
	"net"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// ExportInfo is what a client knows of an export.
type ExportInfo struct {
	Name        string
	Description string
	Size        uint64
	Flags       uint16

	// MinBlock, OptBlock and MaxBlock are the server's block sizes, 0 if it did not tell.
	MinBlock, OptBlock, MaxBlock uint32

	StructuredReply bool     // negotiated
	Context         bool     // the wanted context was negotiated
	ContextID       uint32   // its number
	Contexts        []string // that the export has, for List
}

// Dialer tells how a client negotiates.
type Dialer struct {
	// StartTLS makes the connection secure; nil for a client without TLS.
	StartTLS func(c net.Conn) (net.Conn, error)
	// Context is the metadata context to ask for; empty for none.
	Context string
	// RequestSizes promises to obey the server's block sizes.
	RequestSizes bool
	// Plain asks for no structured replies.
	Plain bool
}

// style is how far a server's negotiation goes.
type style int

const (
	oldstyle style = iota
	newstyle       // only the export's name can be sent
	fixed
	structured // fixed newstyle with structured replies
)

// client is a negotiation under way.
type client struct {
	conn   net.Conn
	style  style
	zeroes bool // the server pads its answer to OptExportName
}

// send sends an option.
func (c *client) send(o Opt, payload []byte) error {
	err := Write(c.conn, appendOption(nil, o, payload))
	if err != nil {
		return Error("Failed to send option request header: %v", err)
	}
	return nil
}

// abort tells the server that the client gives up, and returns err.
func (c *client) abort(err error) error {
	Write(c.conn, appendOption(nil, OptAbort, nil)) // a courtesy: the server may have gone
	return err
}

// reply is the head of a reply to an option.
type reply struct {
	typ    Rep
	length uint32
}

// receive reads the head of the reply to an option.
func (c *client) receive(o Opt) (r reply, err error) {
	var b [OptionReplySize]byte
	if err := ReadFull(c.conn, b[:], "option reply"); err != nil {
		return r, c.abort(err)
	}
	got := Opt(be.Uint32(b[8:]))
	switch {
	case be.Uint64(b[:]) != MagicOptionReply:
		return r, c.abort(Error("Unexpected option reply magic"))
	case got != o:
		return r, c.abort(Error("Unexpected option type %s, expected %s", got.numbered(), o.numbered()))
	}
	return reply{Rep(be.Uint32(b[12:])), be.Uint32(b[16:])}, nil
}

// repErrors are the texts of error replies, ending in the option if they have a %s.
var repErrors = map[Rep]string{
	RepErrPolicy: "Denied by server for option %s", RepErrInvalid: "Invalid parameters for option %s",
	RepErrPlatform: "Server lacks support for option %s", RepErrTLSReqd: "TLS negotiation required before option %s",
	RepErrUnknown: "Requested export not available", RepErrShutdown: "Server shutting down before option %s",
	RepErrBlockSizeReqd: "Server requires INFO_BLOCK_SIZE for option %s",
}

// success consumes an error reply. ok is false without an error if the server does not support the option (or, unless strict, refuses it
// for any reason).
func (c *client) success(o Opt, r reply, strict bool) (ok bool, err error) {
	if r.typ&repError == 0 {
		return true, nil
	}
	var msg []byte
	if r.length > MaxBuffer {
		return false, c.abort(Error("server error %s message is too long", r.typ.numbered()))
	}
	if r.length > 0 {
		msg = make([]byte, r.length)
		if err := ReadFull(c.conn, msg, ""); err != nil {
			return false, c.abort(Error("Failed to read option error %s message: %v", r.typ.numbered(), err))
		}
	}
	if r.typ == RepErrUnsup || !strict {
		return false, nil
	}
	e := &block.Error{Errno: unix.EINVAL, Text: "Unknown error code when asking for option " + o.numbered()}
	if text, ok := repErrors[r.typ]; ok {
		e.Text = text
		if r.typ != RepErrUnknown {
			e.Text = fmt.Sprintf(text, o.numbered())
		}
	}
	if r.typ == RepErrTLSReqd {
		e.Hint = "Did you forget a valid tls-creds?"
	}
	if msg != nil {
		if e.Hint != "" {
			e.Hint += "\n"
		}
		e.Hint += "server reported: " + string(msg)
	}
	return false, c.abort(e)
}

// simple asks for an option without payload that is answered by an acknowledgement.
func (c *client) simple(o Opt, strict bool) (ok bool, err error) {
	if err := c.send(o, nil); err != nil {
		return false, err
	}
	r, err := c.receive(o)
	if err != nil {
		return false, err
	}
	if ok, err = c.success(o, r, strict); !ok {
		return false, err
	}
	switch {
	case r.typ != RepAck:
		return false, c.abort(Error("Server answered option %s with unexpected reply %s", o.numbered(), r.typ.numbered()))
	case r.length != 0:
		return false, c.abort(Error("Option %d ('%s') response length is %d (it should be zero)", uint32(o), o, r.length))
	}
	return true, nil
}

// start does everything up to the first option that names an export.
func (d *Dialer) start(conn net.Conn) (*client, error) {
	c := &client{conn: conn, zeroes: true}
	magic, err := readUint64(conn, "initial magic")
	if err != nil {
		return nil, err
	}
	if magic != MagicInit {
		return nil, Error("Bad initial magic received: 0x%x", magic)
	}
	if magic, err = readUint64(conn, "server magic"); err != nil {
		return nil, err
	}
	switch {
	case magic == MagicOldstyle && d.StartTLS != nil:
		return nil, Error("Server does not support STARTTLS")
	case magic == MagicOldstyle:
		return c, nil
	case magic != MagicOption:
		return nil, Error("Bad server magic received: 0x%x", magic)
	}
	flags, err := readUint16(conn, "server flags")
	if err != nil {
		return nil, err
	}
	c.zeroes = flags&HandshakeNoZeroes == 0
	if err := Write(conn, be.AppendUint32(nil, uint32(flags&(HandshakeFixedNewstyle|HandshakeNoZeroes)))); err != nil {
		return nil, Error("Failed to send clientflags field: %v", err)
	}
	if flags&HandshakeFixedNewstyle == 0 {
		if d.StartTLS != nil {
			return nil, Error("Server does not support STARTTLS")
		}
		c.style = newstyle
		return c, nil
	}
	return c, d.startFixed(c)
}

// startFixed negotiates what concerns the whole connection.
func (d *Dialer) startFixed(c *client) error {
	c.style = fixed
	if d.StartTLS != nil {
		ok, err := c.simple(OptStartTLS, true)
		if err != nil {
			return err
		}
		if !ok {
			return c.abort(Error("Server don't support STARTTLS option"))
		}
		if c.conn, err = d.StartTLS(c.conn); err != nil {
			return err
		}
	}
	if d.Plain {
		return nil
	}
	ok, err := c.simple(OptStructuredReply, false)
	if ok {
		c.style = structured
	}
	return err
}

// Negotiate opens the export and leaves the connection, which may be another than conn, ready for requests.
func (d *Dialer) Negotiate(conn net.Conn, name string) (net.Conn, *ExportInfo, error) {
	c, err := d.start(conn)
	if err != nil {
		return nil, nil, err
	}
	info := &ExportInfo{Name: name, StructuredReply: c.style == structured}
	if info.StructuredReply && d.Context != "" {
		if err := c.setContext(info, d.Context); err != nil {
			return nil, nil, err
		}
	}
	switch c.style {
	case structured, fixed:
		if ok, err := c.infoOrGo(OptGo, info, d.RequestSizes); ok || err != nil {
			return c.conn, info, err
		}
		if err := c.queryExport(name); err != nil {
			return nil, nil, err
		}
		fallthrough
	case newstyle:
		err = c.exportName(info)
	case oldstyle:
		if name != "" {
			return nil, nil, Error("Server does not support non-empty export names")
		}
		err = c.finishOldstyle(info)
	}
	if err != nil {
		return nil, nil, err
	}
	if c.zeroes {
		if err := Drop(c.conn, ReservedSize); err != nil {
			return nil, nil, Error("Failed to read reserved block: %v", err)
		}
	}
	return c.conn, info, nil
}

func (c *client) exportName(info *ExportInfo) (err error) {
	if err := c.send(OptExportName, []byte(info.Name)); err != nil {
		return err
	}
	if info.Size, err = readUint64(c.conn, "export length"); err != nil {
		return err
	}
	info.Flags, err = readUint16(c.conn, "export flags")
	return err
}

func (c *client) finishOldstyle(info *ExportInfo) (err error) {
	if info.Size, err = readUint64(c.conn, "export length"); err != nil {
		return err
	}
	flags, err := readUint32(c.conn, "export flags")
	if err != nil {
		return err
	}
	if flags > 0xffff {
		return Error("Unexpected export flags %0x", flags)
	}
	info.Flags = uint16(flags)
	return nil
}

// infoOrGo asks about the export or opens it; ok is false if the server does not know the option.
func (c *client) infoOrGo(o Opt, info *ExportInfo, sizes bool) (ok bool, err error) {
	payload := appendString(nil, info.Name)
	if sizes {
		payload = be.AppendUint16(be.AppendUint16(payload, 1), InfoBlockSize)
	} else {
		payload = be.AppendUint16(payload, 0)
	}
	if err := c.send(o, payload); err != nil {
		return false, err
	}
	info.Flags = 0
	for {
		r, err := c.receive(o)
		if err != nil {
			return false, err
		}
		if ok, err = c.success(o, r, true); !ok {
			return false, err
		}
		switch {
		case r.typ == RepAck && r.length != 0:
			return false, Error("server sent invalid NBD_REP_ACK")
		case r.typ == RepAck && info.Flags == 0:
			return false, Error("broken server omitted NBD_INFO_EXPORT")
		case r.typ == RepAck:
			return true, nil
		case r.typ != RepInfo:
			return false, c.abort(Error("unexpected reply type %s, expected %s", r.typ.numbered(), RepInfo.numbered()))
		}
		if err := c.oneInfo(r.length, info); err != nil {
			return false, c.abort(err)
		}
	}
}

// oneInfo reads a piece of information about the export.
func (c *client) oneInfo(length uint32, info *ExportInfo) error {
	if length < 2 {
		return Error("NBD_REP_INFO length %d is too short", length)
	}
	kind, err := readUint16(c.conn, "info type")
	if err != nil {
		return err
	}
	length -= 2
	switch kind {
	case InfoExport:
		return c.exportInfo(length, info)
	case InfoBlockSize:
		return c.blockSizes(length, info)
	}
	if err := Drop(c.conn, int64(length)); err != nil {
		return Error("Failed to read info payload: %v", err)
	}
	return nil
}

func (c *client) exportInfo(length uint32, info *ExportInfo) (err error) {
	if length != 10 {
		return Error("remaining export info len %d is unexpected size", length)
	}
	if info.Size, err = readUint64(c.conn, "info size"); err != nil {
		return err
	}
	if info.Flags, err = readUint16(c.conn, "info flags"); err != nil {
		return err
	}
	if info.MinBlock != 0 && info.Size%uint64(info.MinBlock) != 0 {
		return Error("export size %d is not multiple of minimum block size %d", info.Size, info.MinBlock)
	}
	return nil
}

func (c *client) blockSizes(length uint32, info *ExportInfo) (err error) {
	if length != 12 {
		return Error("remaining export info len %d is unexpected size", length)
	}
	if info.MinBlock, err = readUint32(c.conn, "info minimum block size"); err != nil {
		return err
	}
	if bits.OnesCount32(info.MinBlock) != 1 {
		return Error("server minimum block size %d is not a power of two", info.MinBlock)
	}
	if info.OptBlock, err = readUint32(c.conn, "info preferred block size"); err != nil {
		return err
	}
	if bits.OnesCount32(info.OptBlock) != 1 || info.OptBlock < info.MinBlock {
		return Error("server preferred block size %d is not valid", info.OptBlock)
	}
	if info.MaxBlock, err = readUint32(c.conn, "info maximum block size"); err != nil {
		return err
	}
	if info.MaxBlock < info.MinBlock {
		return Error("server maximum block size %d is not valid", info.MaxBlock)
	}
	return nil
}
