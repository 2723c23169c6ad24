package dump

import (
	"bytes"
	"errors"
	"strconv"
)

// NoteHead is the size of a note's head, MaxGuestNote the largest note that a guest may have.
const NoteHead, MaxGuestNote = 12, 1 << 20

// GuestNote is a note that the guest itself has made for core files: Linux's VMCOREINFO tells debuggers where things are.
type GuestNote struct {
	bytes    []byte // as in the file
	name     string
	desc     []byte
	descAt   int
	physBase uint64
}

// round is the next multiple of four.
func round(n int) int { return (n + 3) &^ 3 }

// ReadGuestNote reads a note out of b, which may be longer.
func ReadGuestNote(b []byte) (*GuestNote, error) {
	bad := errors.New("Invalid guest note header")
	if len(b) < NoteHead {
		return nil, bad
	}
	name, desc := le.Uint32(b), le.Uint32(b[4:])
	if name > MaxGuestNote || desc > MaxGuestNote {
		return nil, bad
	}
	at := NoteHead + round(int(name))
	if at+round(int(desc)) > len(b) {
		return nil, bad
	}
	g := &GuestNote{bytes: b[:at+round(int(desc))], name: string(b[NoteHead : NoteHead+name]), desc: b[at : at+int(desc)], descAt: at}
	if g.linux() {
		g.readPhysBase()
	}
	return g, nil
}

// linux tells whether it is Linux's.
func (g *GuestNote) linux() bool { return g.name == "VMCOREINFO\x00" }

// readPhysBase looks for the address at which the kernel is.
func (g *GuestNote) readPhysBase() {
	for _, l := range bytes.Split(g.desc, []byte("\n")) {
		v, ok := bytes.CutPrefix(l, []byte("NUMBER(phys_base)="))
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(string(bytes.TrimPrefix(v, []byte("0x"))), 16, 64); err == nil {
			g.physBase = n
		}
		return
	}
}

// info is the place in a file of what Linux's note says, if notes of a size begin at a place and the guest's is the last.
func (g *GuestNote) info(notesAt uint64, notes int) (at, size uint64) {
	if !g.linux() {
		return 0, 0
	}
	return notesAt + uint64(notes-len(g.bytes)+g.descAt), uint64(len(g.desc))
}
