package nbd

import (
	"net"
	"strings"

	proto "goemu/block/nbdproto"
)

// listExports shows what another server offers.
func (c *command) listExports() int {
	conn, err := c.address().Connect(c.Ctx)
	if err != nil {
		c.Report("", proto.AddrError(err))
		return 1
	}
	defer conn.Close()
	var d proto.Dialer
	if c.creds != nil {
		host := c.bind
		if c.tlsHostSet {
			host = c.tlsHostname
		}
		d.StartTLS = func(conn net.Conn) (net.Conn, error) { return c.creds.StartClient(conn, host) }
	}
	list, err := d.List(conn)
	if err != nil {
		c.Report("", err)
		return 1
	}
	c.Printf("exports available: %d\n", len(list))
	for _, x := range list {
		c.showExport(x)
	}
	return 0
}

func (c *command) showExport(x *proto.ExportInfo) {
	c.Printf(" export: '%s'\n", x.Name)
	if x.Description != "" {
		c.Printf("  description: %s\n", x.Description)
	}
	if x.Flags&proto.FlagHasFlags != 0 {
		c.Printf("  size:  %d\n", x.Size)
		var names strings.Builder
		for bit, name := range proto.FlagNames {
			if name != "" && x.Flags&(1<<bit) != 0 {
				names.WriteString(" " + name)
			}
		}
		c.Printf("  flags: 0x%x (%s )\n", x.Flags, &names)
	}
	if x.MinBlock != 0 {
		c.Printf("  min block: %d\n  opt block: %d\n  max block: %d\n", x.MinBlock, x.OptBlock, x.MaxBlock)
	}
	if len(x.Contexts) > 0 {
		c.Printf("  available meta contexts: %d\n", len(x.Contexts))
		for _, name := range x.Contexts {
			c.Printf("   %s\n", name)
		}
	}
}
