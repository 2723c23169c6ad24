package nbdproto

import (
	"net"
	"strings"
)

// listed reads one reply to OptList; more is false after the last one.
func (c *client) listed() (name, description string, more bool, err error) {
	r, err := c.receive(OptList)
	if err != nil {
		return "", "", false, err
	}
	if ok, err := c.success(OptList, r, true); !ok {
		return "", "", false, err
	}
	switch {
	case r.typ == RepAck && r.length != 0:
		return "", "", false, c.abort(Error("length too long for option end"))
	case r.typ == RepAck:
		return "", "", false, nil
	case r.typ != RepServer:
		return "", "", false, c.abort(Error("Unexpected reply type %s, expected %s", r.typ.numbered(), RepServer.numbered()))
	case r.length < 4 || r.length > MaxBuffer:
		return "", "", false, c.abort(Error("incorrect option length %d", r.length))
	}
	n, err := readUint32(c.conn, "option name length")
	if err != nil {
		return "", "", false, c.abort(err)
	}
	rest := r.length - 4
	if rest < n || n > MaxString {
		return "", "", false, c.abort(Error("incorrect name length in server's list response"))
	}
	b := make([]byte, n)
	if err := ReadFull(c.conn, b, "export name"); err != nil {
		return "", "", false, c.abort(err)
	}
	if rest -= n; rest > MaxString {
		return "", "", false, c.abort(Error("incorrect description length in server's list response"))
	}
	d := make([]byte, rest)
	if err := ReadFull(c.conn, d, "export description"); err != nil {
		return "", "", false, c.abort(err)
	}
	return string(b), string(d), true, nil
}

// queryExport finds out whether the server has the export, for a better message than OptExportName can give.
func (c *client) queryExport(want string) error {
	if err := c.send(OptList, nil); err != nil {
		return err
	}
	empty, found := true, false
	for {
		name, _, more, err := c.listed()
		switch {
		case err != nil:
			return err
		case more:
			empty, found = false, found || name == want
		case empty || found: // a server that does not know the option looks like one without exports
			return nil
		default:
			return c.abort(Error("No export with name '%s' available", want))
		}
	}
}

// sendMeta sends an option about metadata contexts with at most one query.
func (c *client) sendMeta(o Opt, export, query string) error {
	payload := appendString(nil, export)
	if query == "" {
		payload = be.AppendUint32(payload, 0)
	} else {
		payload = appendString(be.AppendUint32(payload, 1), query)
	}
	return c.send(o, payload)
}

// context reads one reply to an option about metadata contexts; more is false after the last one.
func (c *client) context(o Opt) (name string, id uint32, more bool, err error) {
	r, err := c.receive(o)
	if err != nil {
		return "", 0, false, err
	}
	if ok, err := c.success(o, r, false); !ok {
		return "", 0, false, err
	}
	switch {
	case r.typ == RepAck && r.length != 0:
		return "", 0, false, c.abort(Error("Unexpected length to ACK response"))
	case r.typ == RepAck:
		return "", 0, false, nil
	case r.typ != RepMetaContext:
		return "", 0, false, c.abort(Error("Unexpected reply type %s, expected %s", r.typ.numbered(), RepMetaContext.numbered()))
	case r.length <= 4 || r.length > MaxBuffer:
		return "", 0, false, c.abort(Error("Failed to negotiate meta context, server answered with unexpected length %d", r.length))
	}
	if id, err = readUint32(c.conn, "context id"); err != nil {
		return "", 0, false, err
	}
	b := make([]byte, r.length-4)
	err = ReadFull(c.conn, b, "context name")
	return string(b), id, err == nil, err
}

// setContext asks for one metadata context.
func (c *client) setContext(info *ExportInfo, want string) error {
	if err := c.sendMeta(OptSetMetaContext, info.Name, want); err != nil {
		return err
	}
	name, id, more, err := c.context(OptSetMetaContext)
	if err != nil || !more {
		return err
	}
	if name != want {
		return c.abort(Error("Failed to negotiate meta context '%s', server answered with different context '%s'", want, name))
	}
	info.Context, info.ContextID = true, id
	if _, _, more, err = c.context(OptSetMetaContext); more {
		return c.abort(Error("Server answered with more than one context"))
	}
	return err
}

// listContexts asks for all metadata contexts of the export.
func (c *client) listContexts(info *ExportInfo) error {
	if err := c.sendMeta(OptListMetaContext, info.Name, ""); err != nil {
		return err
	}
	asked := false // QEMU 3.0 tells its own contexts only when asked
	for {
		name, _, more, err := c.context(OptListMetaContext)
		switch {
		case err != nil:
			return err
		case more:
			asked = asked || strings.HasPrefix(name, ContextQEMU)
			info.Contexts = append(info.Contexts, name)
		case asked || len(info.Contexts) == 0:
			return nil
		default:
			asked = true
			if err := c.sendMeta(OptListMetaContext, info.Name, ContextQEMU); err != nil {
				return err
			}
		}
	}
}

// List asks for all exports of a server and hangs up.
func (d *Dialer) List(conn net.Conn) ([]*ExportInfo, error) {
	c, err := d.start(conn)
	if err != nil {
		return nil, err
	}
	switch c.style {
	case oldstyle:
		info := &ExportInfo{}
		if err := c.finishOldstyle(info); err != nil {
			return nil, err
		}
		if Drop(c.conn, ReservedSize) == nil {
			var b [RequestSize]byte
			(&Request{Type: CmdDisc}).Put(b[:])
			Write(c.conn, b[:]) // a courtesy
		}
		return []*ExportInfo{info}, nil
	case newstyle:
		return nil, Error("Server does not support export lists")
	}
	return c.listAll()
}

func (c *client) listAll() (list []*ExportInfo, err error) {
	if err := c.send(OptList, nil); err != nil {
		return nil, err
	}
	for {
		name, description, more, err := c.listed()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		list = append(list, &ExportInfo{Name: name, Description: description, StructuredReply: c.style == structured})
	}
	for _, info := range list {
		ok, err := c.infoOrGo(OptInfo, info, true)
		if err != nil {
			return nil, err
		}
		if !ok {
			break // a server without OptInfo knows no contexts either
		}
		if c.style == structured {
			if err := c.listContexts(info); err != nil {
				return nil, err
			}
		}
	}
	return list, c.abort(nil)
}
