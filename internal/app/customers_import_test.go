package app_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestAFileInUTF16IsRefusedByName(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		const text = "user,customer\r\nann," + alicesCustomer + "\r\n"
		wide := utf16.Encode([]rune(text))
		little, err := binary.Append(nil, binary.LittleEndian, wide)
		if err != nil {
			t.Fatal(err)
		}
		big, err := binary.Append(nil, binary.BigEndian, wide)
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{
			"\xff\xfe" + string(little), "\xfe\xff" + string(big), string(little), string(big), "\x00\x00\xfe\xff\x00\x00\x00u", "\xff\xfe\x00\x00u\x00\x00\x00",
		} {
			for _, args := range [][]string{{"import", "-"}, {"import", "-dry-run", "-"}} {
				got := d.pipe(content, args...)
				if got.fault == nil || !strings.Contains(got.fault.Error(), "UTF-16") || strings.Contains(got.err, "line 1") {
					t.Errorf("%.8q: %+v", content, got)
				}
			}
		}
		d.holds()
		if got := d.pipe("\ufeff"+text, "import", "-"); got.fault != nil { // UTF-8 as spreadsheets write it
			t.Errorf("with a byte order mark: %+v", got)
		}
		if got := d.pipe("é", "import", "-"); got.fault == nil || strings.Contains(got.fault.Error(), "UTF-16") {
			t.Errorf("a short file: %+v", got)
		}
		d.holds("ann," + alicesCustomer)
	})
}
