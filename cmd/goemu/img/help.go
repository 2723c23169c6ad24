package img

import "goemu/internal/tool"

// helpParameters explains the words of the commands' lines.
const helpParameters = `
Command parameters:
  'filename' names a disk image
  'objectdef' defines an object, most often a 'secret' with a password or key
  'fmt' is an image's format; without it the format is guessed
  'cache' is the cache mode of the image written: 'none', 'writeback' (default,
    except for convert), 'writethrough', 'directsync', 'unsafe' (default for convert)
  'src_cache' is the cache mode of images read, with the same values
  'size' is a number of bytes, or of larger units with a suffix: k or K (1024 bytes),
    M (1024k), G (1024M), T (1024G), P (1024T), E (1024P); 'b' stands for bytes
  'output_filename' names the image to be made, 'output_fmt' its format
  'options' are the format's own, as name=value,...; '-o help' lists them
  'snapshot_param' selects an internal snapshot: 'snapshot.id=[ID],snapshot.name=[NAME]',
    or '[ID_OR_NAME]'
  '-c' writes a compressed image
  '-u' does not look at the backing file: rebase only changes its name in the image,
    create does not open it
  '-h' shows this help and the supported formats, with any command
  '-p' shows the progress
  '-q' prints errors only
  '-S' is the number of zero bytes in a row from which the image is left sparse
    (default: 4k); 0 makes it fully allocated
  '--output' chooses between output for people ('human') and programs ('json')
  '-n' uses an existing target

Parameters to bitmap subcommand:
  'bitmap' names the bitmap on which the actions work in their order
  '-g granularity' is for '--add'
  '-b source' and '-F src_fmt' name another image that the bitmaps for '--merge' are in

Parameters to check subcommand:
  '-r leaks' repairs leaked clusters, '-r all' all kinds of errors, which may choose
    the wrong repair or hide damage

Parameters to convert subcommand:
  '--bitmaps' copies the persistent bitmaps of the image, too
  '-m' is the number of requests in parallel (default: 8)
  '-W' allows writes out of order

Parameters to snapshot subcommand:
  'snapshot' is a snapshot's name: to be applied with '-a', created with '-c',
    deleted with '-d'; '-l' lists the image's snapshots

Parameters to compare subcommand:
  '-f' and '-F' are the formats of the first and the second image
  '-s' lets different sizes and allocation count as differences

Parameters to dd subcommand:
  'bs=BYTES' is the size of a block (default: 512)
  'count=N' copies no more than N blocks
  'if=FILE' and 'of=FILE' name the images
  'skip=N' leaves the first N blocks out
`

// help prints the commands and formats.
func (c *command) help() int {
	c.Printf("qemu-img version %s\nusage: %s [standard options] command [command options]\nQEMU disk image utility\n\n", tool.Version, c.Name)
	c.Printf("    '-h', '--help'       display this help and exit\n    '-V', '--version'    output version information and exit\n\nCommand syntax:\n")
	for _, s := range specs() {
		c.Printf("  %s %s\n", s.name, s.usage)
	}
	c.Printf("%s\nSupported formats: %s\n", helpParameters, c.Graph.DriverNames())
	return 0
}
