// Package luks is full disk encryption in the format LUKS, version 1 (specification 1.2.1), with AES: the header with its eight key slots, and
// the encryption of sectors. It is used by the driver of the same name and by qcow2, whose older kind of encryption is here, too.
package luks

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Offsets of the header's fields. All numbers are big-endian.
const (
	hdrVersion    = 6   // uint16
	hdrCipherName = 8   // text
	hdrCipherMode = 40  // text
	hdrHash       = 72  // text
	hdrPayload    = 104 // uint32, sectors
	hdrKeyLen     = 108 // uint32, bytes
	hdrDigest     = 112 // of the key
	hdrSalt       = 132
	hdrIterations = 164 // uint32
	hdrUUID       = 168 // text
	hdrSlots      = 208
	headerLen     = hdrSlots + slots*slotLen

	textLen   = 32
	uuidLen   = 40
	saltLen   = 32
	digestLen = 20
	version   = 1
	magic     = "LUKS\xba\xbe"
)

// Offsets inside a key slot.
const (
	slotState      = 0 // uint32
	slotIterations = 4 // uint32
	slotSalt       = 8
	slotOffset     = 40 // uint32, sectors
	slotStripes    = 44 // uint32
	slotLen        = 48

	slots       = 8
	stripes     = 4000
	slotOn      = 0x00ac71f3
	slotOff     = 0x0000dead
	keySector   = 8 // the first that may hold keys, and the unit of the room for each
	cipherOfAES = "aes"
)

// slot is where the key is stored, encrypted with a password.
type slot struct {
	active     bool
	iterations uint32
	salt       [saltLen]byte
	sector     uint32
}

// header is a header that has been checked.
type header struct {
	stored     [headerLen]byte
	spec       Spec
	hash       string
	payload    uint32 // sectors
	keyLen     int    // bytes
	iterations uint32
	uuid       string
	slots      [slots]slot
}

// Probe tells whether an image begins like one of this format.
func Probe(head []byte) bool {
	return len(head) >= hdrCipherName && bytes.HasPrefix(head, []byte(magic)) && be.Uint16(head[hdrVersion:]) == version
}

// room is what the key needs in a slot, in sectors.
func room(keyLen uint64) uint64 {
	n := (keyLen*stripes + SectorSize - 1) / SectorSize
	return (n + keySector - 1) / keySector * keySector
}

func bad(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }

// parse checks and decodes a header of headerLen bytes; errors are QEMU's.
func parse(b []byte) (*header, error) {
	h := &header{}
	copy(h.stored[:], b)
	switch {
	case !bytes.HasPrefix(b, []byte(magic)):
		return nil, bad("Volume is not in LUKS format")
	case be.Uint16(b[hdrVersion:]) != version:
		return nil, bad("LUKS version %d is not supported", be.Uint16(b[hdrVersion:]))
	}
	var texts [3]string
	for i, t := range []struct {
		at   int
		name string
	}{{hdrCipherName, "cipher name"}, {hdrCipherMode, "cipher mode"}, {hdrHash, "hash spec"}} {
		text, _, ok := strings.Cut(string(b[t.at:t.at+textLen]), "\x00")
		if !ok {
			return nil, bad("LUKS header %s is not NUL terminated", t.name)
		}
		texts[i] = text
	}
	h.payload, h.iterations = be.Uint32(b[hdrPayload:]), be.Uint32(b[hdrIterations:])
	h.uuid, _, _ = strings.Cut(string(b[hdrUUID:hdrUUID+uuidLen]), "\x00")
	switch {
	case h.payload < keySector:
		return nil, bad("LUKS payload is overlapping with the header")
	case h.iterations == 0:
		return nil, bad("LUKS key iteration count is zero")
	}
	keyLen := be.Uint32(b[hdrKeyLen:])
	if err := h.parseSlots(room(uint64(keyLen))); err != nil {
		return nil, err
	}
	h.hash = texts[2]
	return h, h.parseSpec(texts[0], texts[1], int(keyLen))
}

// parseSlots checks and decodes the slots, of which each needs so many sectors.
func (h *header) parseSlots(need uint64) error {
	at := func(i int) uint64 { return uint64(be.Uint32(h.stored[hdrSlots+i*slotLen+slotOffset:])) }
	for i := range h.slots {
		b := h.stored[hdrSlots+i*slotLen:][:slotLen]
		s := &h.slots[i]
		state, n := be.Uint32(b[slotState:]), be.Uint32(b[slotStripes:])
		s.active, s.iterations, s.sector = state == slotOn, be.Uint32(b[slotIterations:]), be.Uint32(b[slotOffset:])
		copy(s.salt[:], b[slotSalt:])
		switch {
		case n != stripes:
			return bad("Keyslot %d is corrupted (stripes %d != %d)", i, int32(n), stripes)
		case state != slotOn && state != slotOff:
			return bad("Keyslot %d state (active/disable) is corrupted", i)
		case s.active && s.iterations == 0:
			return bad("Keyslot %d iteration count is zero", i)
		case s.sector < keySector:
			return bad("Keyslot %d is overlapping with the LUKS header", i)
		case uint64(s.sector)+need > uint64(h.payload):
			return bad("Keyslot %d is overlapping with the encrypted payload", i)
		}
		for j := i + 1; j < slots; j++ {
			if at(i)+need > at(j) && at(j)+need > at(i) {
				return bad("Keyslots %d and %d are overlapping in the header", i, j)
			}
		}
	}
	return nil
}

// parseSpec reads the texts: the mode is MODE-IV or MODE-IV:HASH.
func (h *header) parseSpec(name, mode string, keyLen int) error {
	m, iv, ok := strings.Cut(mode, "-")
	if !ok {
		return bad("Unexpected cipher mode string format '%s'", mode)
	}
	iv, ivHash, hasHash := strings.Cut(iv, ":")
	if hasHash && findHash(ivHash) == nil {
		return bad("Hash algorithm '%s' not supported", ivHash)
	}
	if !known(modes, m) {
		return bad("Cipher mode '%s' not supported", m)
	}
	h.keyLen = keyLen
	if m == ModeXTS {
		keyLen /= 2
	}
	h.spec = Spec{Mode: m, IV: iv, IVHash: ivHash}
	for _, a := range algs {
		if name == cipherOfAES && a.keyLen == keyLen {
			h.spec.Alg = a.name
		}
	}
	switch {
	case h.spec.Alg == "" || h.spec.keyLen() != h.keyLen:
		return bad("Algorithm '%s' with key size %d bytes not supported", name, keyLen)
	case findHash(h.hash) == nil:
		return bad("Hash algorithm '%s' not supported", h.hash)
	case !known(ivs, iv):
		return bad("IV generator '%s' not supported", iv)
	case iv == IVEssiv && !hasHash:
		return bad("Missing IV generator hash specification")
	}
	return h.spec.check()
}

// check refuses hashes that make no key for essiv.
func (s *Spec) check() error {
	if s.IV != IVEssiv {
		return nil
	}
	n := findHash(s.IVHash)().Size()
	for _, a := range algs {
		if a.keyLen == n {
			return nil
		}
	}
	return bad("No AES cipher with key size %d available", n)
}

func known(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// storeSlot writes a slot into the stored form.
func (h *header) storeSlot(i int) {
	s, b := &h.slots[i], h.stored[hdrSlots+i*slotLen:]
	state := uint32(slotOff)
	if s.active {
		state = slotOn
	}
	be.PutUint32(b[slotState:], state)
	be.PutUint32(b[slotIterations:], s.iterations)
	copy(b[slotSalt:], s.salt[:])
	be.PutUint32(b[slotOffset:], s.sector)
	be.PutUint32(b[slotStripes:], stripes)
}

// active counts the slots that hold the key.
func (h *header) active() (n int) {
	for i := range h.slots {
		if h.slots[i].active {
			n++
		}
	}
	return n
}
