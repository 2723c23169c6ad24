package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"goemu/block"
)

// CHS are the options that give a geometry.
type CHS struct {
	Cyls  uint32 `prop:"cyls,default=0"`
	Heads uint32 `prop:"heads,default=0"`
	Secs  uint32 `prop:"secs,default=0"`

	LCyls  uint32 `prop:"lcyls,default=0"`
	LHeads uint32 `prop:"lheads,default=0"`
	LSecs  uint32 `prop:"lsecs,default=0"`
}

// BIOSGeometry implements qdev.Shaped.
func (c *CHS) BIOSGeometry() (cyls, heads, secs uint32, ok bool) {
	return c.LCyls, c.LHeads, c.LSecs, c.LCyls|c.LHeads|c.LSecs != 0
}

// Geometry is what a BIOS of the last century calls the shape of a disk.
type Geometry struct{ Cyls, Heads, Secs uint32 }

// Translation is how such a BIOS maps the geometry to one that its interface can express, under the names of the option bios-chs-trans.
type Translation uint8

// The translations. A disk that fits needs none.
const (
	TranslateAuto Translation = iota
	TranslateNone
	TranslateLBA
	TranslateLarge
	TranslateRECHS
)

var translationNames = [...]string{"auto", "none", "lba", "large", "rechs"}

// String is the translation's name.
func (t Translation) String() string { return translationNames[t] }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Translation) UnmarshalText(text []byte) error {
	i := slices.Index(translationNames[:], string(text))
	if i < 0 {
		return errors.New("unknown translation")
	}
	*t = Translation(i)
	return nil
}

// PropertyType implements qdev.TypeNamer.
func (Translation) PropertyType() string { return "BiosAtaTranslation" }

// MBR partition table.
const (
	mbrTable, mbrEntry, mbrEntries = 0x1be, 16, 4
	mbrSignature, mbrMagic         = 510, 0xaa55
	mbrEndHead, mbrEndSector       = 5, 6
	mbrCount                       = 12
)

const (
	sectorSize = 512

	guessMinCyls, guessMaxCyls  = 2, 16383
	standardHeads, standardSecs = 16, 63

	// A BIOS needs no translation up to this many cylinders, and can translate by moving bits from cylinders to heads up to
	// largeProduct cylinders times heads.
	untranslatedCyls, largeProduct = 1024, 131072
)

// Geometry takes the geometry from the options, whose limits are those of the bus, or guesses it from the partition table of a disk of
// length bytes. It also tells the translation that a BIOS is to use.
func (c *CHS) Geometry(b *block.Backend, length int64, maxCyls, maxHeads, maxSecs uint32) (Geometry, Translation, error) {
	g := Geometry{c.Cyls, c.Heads, c.Secs}
	if g == (Geometry{}) {
		g, t := guess(b, length)
		return g, t, nil
	}
	for _, r := range []struct {
		name   string
		v, max uint32
	}{{"cyls", g.Cyls, maxCyls}, {"heads", g.Heads, maxHeads}, {"secs", g.Secs, maxSecs}} {
		if r.v < 1 || r.v > r.max {
			return g, TranslateAuto, fmt.Errorf("%s must be between 1 and %d", r.name, r.max)
		}
	}
	return g, given(g), nil
}

// given is the translation for a geometry that the user gave.
func given(g Geometry) Translation {
	if g.Cyls <= untranslatedCyls && g.Heads <= standardHeads && g.Secs <= standardSecs {
		return TranslateNone
	}
	return TranslateLBA
}

// guess looks for a partition whose end tells the number of heads and sectors. Without one, and with more heads than a physical disk can
// have, the geometry is the usual one for the size.
func guess(b *block.Backend, length int64) (Geometry, Translation) {
	total := uint64(max(length, 0)) / sectorSize
	standard := Geometry{Heads: standardHeads, Secs: standardSecs}
	standard.Cyls = uint32(min(max(total/(standardHeads*standardSecs), guessMinCyls), guessMaxCyls))
	g, ok := fromPartitions(b, total)
	switch {
	case !ok:
		return standard, given(standard)
	case g.Heads > standardHeads: // the partition table was made with a translated geometry
		if standard.Cyls*standard.Heads <= largeProduct {
			return standard, TranslateLarge
		}
		return standard, TranslateLBA
	}
	return g, TranslateNone
}

// fromPartitions finds the geometry that a partition table was made with.
func fromPartitions(b *block.Backend, total uint64) (Geometry, bool) {
	sector := make([]byte, sectorSize)
	if total == 0 || b.Read(context.Background(), 0, sector) != nil || binary.LittleEndian.Uint16(sector[mbrSignature:]) != mbrMagic {
		return Geometry{}, false
	}
	for i := range mbrEntries {
		e := sector[mbrTable+i*mbrEntry:]
		heads, secs := uint32(e[mbrEndHead])+1, uint32(e[mbrEndSector]&0x3f)
		if binary.LittleEndian.Uint32(e[mbrCount:]) == 0 || heads == 1 || secs == 0 {
			continue
		}
		if cyls := total / uint64(heads*secs); cyls >= 1 && cyls <= guessMaxCyls {
			return Geometry{uint32(cyls), heads, secs}, true
		}
	}
	return Geometry{}, false
}
