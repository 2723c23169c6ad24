// Package raw is the format driver for images without a format: byte n of the disk is byte n of the file, or of a part of it. It knows no
// device and opens no file itself.
package raw

// sectorSize is the unit in which sizes are given.
const sectorSize = 512
