package luks

import (
	"context"
	"crypto/rand"
	"crypto/subtle"

	"goemu/block"
)

// Store is where the header and the keys are, from offset 0.
type Store interface {
	Read(ctx context.Context, off int64, b []byte) error
	Write(ctx context.Context, off int64, b []byte, fl block.Flags) error
}

// Volume is an opened image.
type Volume struct {
	// Cipher encrypts the data; it is nil if the image was opened without a password, only to look at.
	Cipher *Cipher

	h      *header
	secret string // the name of the password's secret
}

// Open reads the header and, unless only the header matters, finds the key by the password in the secret. prefix is that of the option
// which names the secret.
func Open(ctx context.Context, g *block.Graph, s Store, prefix, secret string, headerOnly bool) (*Volume, error) {
	var password []byte
	var err error
	if !headerOnly {
		if password, err = Password(g, prefix, secret); err != nil {
			return nil, err
		}
	}
	b := make([]byte, headerLen)
	if err := readStore(ctx, s, 0, b); err != nil {
		return nil, err
	}
	v := &Volume{secret: secret}
	if v.h, err = parse(b); err != nil || headerOnly {
		return v, err
	}
	key, err := v.findKey(ctx, s, password)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	v.Cipher, err = NewCipher(v.h.spec, key)
	return v, err
}

func readStore(ctx context.Context, s Store, off int64, b []byte) error {
	if err := s.Read(ctx, off, b); err != nil {
		return block.Errnof(block.Errno(err), "Could not read encryption header")
	}
	return nil
}

func writeStore(ctx context.Context, s Store, off int64, b []byte) error {
	if err := s.Write(ctx, off, b, 0); err != nil {
		return block.Errnof(block.Errno(err), "Could not write encryption header")
	}
	return nil
}

// Payload is where the data begins, in bytes.
func (v *Volume) Payload() int64 { return int64(v.h.payload) * SectorSize }

// digest is the hash by which a key is recognised.
func (h *header) digest(key []byte) ([]byte, error) {
	return derive(findHash(h.hash), key, h.stored[hdrSalt:hdrSalt+saltLen], h.iterations, digestLen)
}

// loadKey opens a slot with a password; the key is nil if that does not fit.
func (v *Volume) loadKey(ctx context.Context, s Store, i int, password []byte) ([]byte, error) {
	slot := &v.h.slots[i]
	if !slot.active {
		return nil, nil
	}
	c, err := v.slotCipher(i, password)
	if err != nil {
		return nil, err
	}
	b := make([]byte, v.h.keyLen*stripes)
	if err := readStore(ctx, s, int64(slot.sector)*SectorSize, b); err != nil {
		return nil, err
	}
	c.Decrypt(0, b)
	key := merge(findHash(v.h.hash), b, stripes)
	clear(b)
	digest, err := v.h.digest(key)
	if err != nil || subtle.ConstantTimeCompare(digest, v.h.stored[hdrDigest:hdrDigest+digestLen]) == 0 {
		return nil, err
	}
	return key, nil
}

// slotCipher makes the cipher for a slot's key.
func (v *Volume) slotCipher(i int, password []byte) (*Cipher, error) {
	slot := &v.h.slots[i]
	k, err := derive(findHash(v.h.hash), password, slot.salt[:], slot.iterations, v.h.keyLen)
	if err != nil {
		return nil, bad("%s", err)
	}
	defer clear(k)
	return NewCipher(v.h.spec, k)
}

// findKey opens the first slot that the password fits.
func (v *Volume) findKey(ctx context.Context, s Store, password []byte) ([]byte, error) {
	for i := range v.h.slots {
		if key, err := v.loadKey(ctx, s, i, password); err != nil || key != nil {
			return key, err
		}
	}
	return nil, bad("Invalid password, cannot unlock any keyslot")
}

// storeKey puts the key into a slot under a password and writes the header.
func (v *Volume) storeKey(ctx context.Context, s Store, i int, password, key []byte, milliseconds uint64) error {
	slot := &v.h.slots[i]
	_, _ = rand.Read(slot.salt[:])
	n, err := iterations(v.h.hash, v.h.keyLen, milliseconds, 1, minSlotIterations)
	if err != nil {
		return err
	}
	slot.iterations = n
	c, err := v.slotCipher(i, password)
	if err != nil {
		return err
	}
	b := split(findHash(v.h.hash), key, stripes)
	defer clear(b)
	c.Encrypt(0, b)
	if err := writeStore(ctx, s, int64(slot.sector)*SectorSize, b); err != nil {
		return err
	}
	slot.active = true
	v.h.storeSlot(i)
	return writeStore(ctx, s, 0, v.h.stored[:])
}

// eraseRounds is how often an erased key is overwritten.
const eraseRounds = 40

// eraseKey makes a slot empty; the key is overwritten even if the header cannot be written.
func (v *Volume) eraseKey(ctx context.Context, s Store, i int) error {
	at := int64(v.h.slots[i].sector) * SectorSize
	v.h.slots[i] = slot{sector: v.h.slots[i].sector}
	v.h.storeSlot(i)
	failed := writeStore(ctx, s, 0, v.h.stored[:])
	b := make([]byte, v.h.keyLen*stripes)
	for range eraseRounds {
		_, _ = rand.Read(b)
		if err := writeStore(ctx, s, at, b); err != nil {
			return err
		}
	}
	return failed
}

// Info describes the image as QEMU's type QCryptoBlockInfoLUKS.
func (v *Volume) Info() []block.Member {
	h := v.h
	m := []block.Member{{Name: "cipher-alg", Value: h.spec.Alg}, {Name: "cipher-mode", Value: h.spec.Mode}, {Name: "ivgen-alg", Value: h.spec.IV}}
	if h.spec.IV == IVEssiv {
		m = append(m, block.Member{Name: "ivgen-hash-alg", Value: h.spec.IVHash})
	}
	var list []any
	for i := range h.slots {
		s := &h.slots[i]
		e := []block.Member{{Name: "active", Value: s.active}}
		if s.active {
			e = append(e, block.Member{Name: "iters", Value: int64(s.iterations)}, block.Member{Name: "stripes", Value: int64(stripes)})
		}
		list = append(list, append(e, block.Member{Name: "key-offset", Value: int64(s.sector) * SectorSize}))
	}
	return append(m, block.Member{Name: "hash-alg", Value: h.hash}, block.Member{Name: "payload-offset", Value: v.Payload()},
		block.Member{Name: "master-key-iters", Value: int64(h.iterations)}, block.Member{Name: "uuid", Value: h.uuid}, block.Member{Name: "slots", Value: list})
}
