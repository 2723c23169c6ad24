package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"goemu/hw/pc"
	"goemu/internal/config"
)

// firmwareFiles are the files for SeaBIOS that options name: the picture of -boot splash= and the ROMs of -option-rom.
func firmwareFiles(vm *config.VM) (items []pc.FWCfgItem, err error) {
	if name := vm.BootOrder.Splash; name != "" {
		path := findFirmware(name, dataDirs(vm))
		if path == "" {
			return nil, fmt.Errorf("failed to find file '%s'", name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("failed to read splash file '%s': %s", path, reason(err))
		}
		kind := pictureKind(data)
		if kind == "" {
			return nil, fmt.Errorf("splash file '%s' format not recognized; must be JPEG or 24 bit BMP", path)
		}
		items = append(items, pc.FWCfgItem{Name: "bootsplash." + kind, Data: data})
	}
	for _, rom := range vm.OptionROMs {
		path := findFirmware(rom.Value, dataDirs(vm))
		if path == "" {
			path = rom.Value
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, at(rom.Origin, fmt.Errorf("Could not open option rom '%s': %s", rom.Value, reason(err)))
		}
		items = append(items, pc.FWCfgItem{Name: pc.ROMDir + filepath.Base(path), Data: data})
	}
	return items, nil
}

// Where a picture says what it is: JPEG's first marker; BMP's mark and the bits of a pixel in its header.
const (
	jpegMark   = 0xd8ff
	bmpMark    = 0x4d42
	bmpDepthAt = 28
	bmpDepth   = 24
)

// pictureKind is "jpg" or "bmp" for what SeaBIOS can show, else empty.
func pictureKind(data []byte) string {
	if len(data) < bmpDepthAt+2 {
		return ""
	}
	switch mark := binary.LittleEndian.Uint16(data); {
	case mark == jpegMark:
		return "jpg"
	case mark == bmpMark && binary.LittleEndian.Uint16(data[bmpDepthAt:]) == bmpDepth:
		return "bmp"
	}
	return ""
}
