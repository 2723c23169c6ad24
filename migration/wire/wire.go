// Package wire holds the numbers of QEMU's migration stream, its header and its writer. It knows neither memory nor devices.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"goemu/migration/vmstate"
)

// The header of a stream.
const (
	Magic   = 0x5145564d // "QEVM"
	Version = 3
)

// Kinds of what follows in a stream.
const (
	EOF           = 0x00
	SectionStart  = 0x01
	SectionPart   = 0x02
	SectionEnd    = 0x03
	SectionFull   = 0x04
	VMDescription = 0x06
	Configuration = 0x07
	Command       = 0x08
	Footer        = 0x7e
)

// Commands within the stream.
const (
	CmdOpenReturnPath = 1
	CmdPing           = 2
	CmdPostcopyAdvise = 3
	CmdPostcopyListen = 4
	CmdPostcopyRun    = 5
	CmdPackaged       = 7
	cmdMax            = 11
)

// Commands are the names of all commands, and the length of their data, -1 where it varies.
var commands = [cmdMax]struct {
	name string
	len  int
}{
	{"INVALID", -1}, {"OPEN_RETURN_PATH", 0}, {"PING", 4}, {"POSTCOPY_ADVISE", -1}, {"POSTCOPY_LISTEN", 0}, {"POSTCOPY_RUN", 0},
	{"POSTCOPY_RAM_DISCARD", -1}, {"PACKAGED", 4}, {"ENABLE_COLO", -1}, {"POSTCOPY_RESUME", 0}, {"RECV_BITMAP", -1},
}

// ReadCommand reads the head of a command, after its kind.
func ReadCommand(r *vmstate.Reader) (cmd, n int, name string, err error) {
	cmd, n = int(r.U16()), int(r.U16())
	if r.Err() != nil {
		return 0, 0, "", r.Err()
	}
	if cmd == 0 || cmd >= cmdMax {
		return 0, 0, "", Invalid("MIG_CMD 0x%x unknown (len 0x%x)", cmd, n)
	}
	c := &commands[cmd]
	if c.len >= 0 && c.len != n {
		return 0, 0, "", Invalid("%s received with bad length - expecting %d, got %d", c.name, c.len, n)
	}
	return cmd, n, c.name, nil
}

// Messages of the return path.
const (
	RPShut = 1
	RPPong = 2
	// RPReason follows the message that ends the path: why the destination gave up, as text. QEMU reads nothing behind that end.
	RPReason = 0xffff
)

// Message is a message of the return path.
func Message(kind uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// ErrInvalid is behind every error that says what is wrong with a stream.
var ErrInvalid = errors.New("Invalid argument")

// invalid is an error in a stream.
type invalid struct{ text string }

func (e *invalid) Error() string { return e.text }

// Unwrap implements errors.Unwrap.
func (e *invalid) Unwrap() error { return ErrInvalid }

// Invalid makes an error about the stream's content.
func Invalid(format string, a ...any) error { return &invalid{fmt.Sprintf(format, a...)} }
