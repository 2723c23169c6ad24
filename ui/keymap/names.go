package keymap

// nameRuns are the names of keysyms in runs of following values (X.Org's keysymdef.h), those that QEMU's layouts use.
var nameRuns = []struct {
	first uint32
	names string
}{
	{0x0020, "space exclam quotedbl numbersign dollar percent ampersand apostrophe parenleft parenright asterisk plus comma minus period slash " +
		"0 1 2 3 4 5 6 7 8 9 colon semicolon less equal greater question at A B C D E F G H I J K L M N O P Q R S T U V W X Y Z bracketleft " +
		"backslash bracketright asciicircum underscore grave a b c d e f g h i j k l m n o p q r s t u v w x y z braceleft bar braceright " +
		"asciitilde"},
	{0x00a0, "nobreakspace exclamdown cent sterling currency yen brokenbar section diaeresis copyright ordfeminine guillemotleft notsign hyphen " +
		"registered macron degree plusminus twosuperior threesuperior acute mu paragraph periodcentered cedilla onesuperior masculine " +
		"guillemotright onequarter onehalf threequarters questiondown Agrave Aacute Acircumflex Atilde Adiaeresis Aring AE Ccedilla Egrave Eacute " +
		"Ecircumflex Ediaeresis Igrave Iacute Icircumflex Idiaeresis ETH Ntilde Ograve Oacute Ocircumflex Otilde Odiaeresis multiply Oslash Ugrave " +
		"Uacute Ucircumflex Udiaeresis Yacute THORN ssharp agrave aacute acircumflex atilde adiaeresis aring ae ccedilla egrave eacute ecircumflex " +
		"ediaeresis igrave iacute icircumflex idiaeresis eth ntilde ograve oacute ocircumflex otilde odiaeresis division oslash ugrave uacute " +
		"ucircumflex udiaeresis yacute thorn ydiaeresis"},
	{0x00d0, "Eth"}, {0x00d8, "Ooblique"}, {0x00de, "Thorn"}, {0x00f8, "ooblique"}, {0x01a1, "Aogonek breve Lstroke"}, {0x01a6, "Sacute"},
	{0x01a9, "Scaron Scedilla"}, {0x01ac, "Zacute"}, {0x01ae, "Zcaron Zabovedot"}, {0x01b1, "aogonek ogonek lstroke"}, {0x01b6, "sacute caron"},
	{0x01b9, "scaron scedilla"}, {0x01bc, "zacute doubleacute zcaron zabovedot"}, {0x01c6, "Cacute"}, {0x01c8, "Ccaron"}, {0x01ca, "Eogonek"},
	{0x01d0, "Dstroke Nacute"}, {0x01d5, "Odoubleacute"}, {0x01db, "Udoubleacute"}, {0x01e6, "cacute"}, {0x01e8, "ccaron"}, {0x01ea, "eogonek"},
	{0x01ec, "ecaron"}, {0x01f0, "dstroke nacute"}, {0x01f5, "odoubleacute"}, {0x01f8, "rcaron uring"}, {0x01fb, "udoubleacute"},
	{0x01ff, "abovedot"}, {0x02a1, "Hstroke"}, {0x02a9, "Iabovedot"}, {0x02ab, "Gbreve"}, {0x02b1, "hstroke"}, {0x02b9, "idotless"},
	{0x02bb, "gbreve"}, {0x03a2, "kra Rcedilla"}, {0x03a6, "Lcedilla"}, {0x03aa, "Emacron Gcedilla Tslash"}, {0x03b3, "rcedilla"},
	{0x03b6, "lcedilla"}, {0x03ba, "emacron gcedilla tslash ENG"}, {0x03bf, "eng Amacron"}, {0x03c7, "Iogonek"}, {0x03cc, "Eabovedot"},
	{0x03cf, "Imacron"}, {0x03d1, "Ncedilla Omacron Kcedilla"}, {0x03d9, "Uogonek"}, {0x03de, "Umacron"}, {0x03e0, "amacron"}, {0x03e7, "iogonek"},
	{0x03ec, "eabovedot"}, {0x03ef, "imacron"}, {0x03f1, "ncedilla omacron kcedilla"}, {0x03f9, "uogonek"}, {0x03fe, "umacron"},
	{0x04a1, "kana_fullstop kana_openingbracket kana_closingbracket kana_comma kana_conjunctive kana_WO kana_a kana_i kana_u kana_e kana_o " +
		"kana_ya kana_yu kana_yo kana_tsu"},
	{0x04b1, "kana_A kana_I kana_U kana_E kana_O kana_KA kana_KI kana_KU kana_KE kana_KO kana_SA kana_SHI kana_SU kana_SE kana_SO kana_TA " +
		"kana_CHI kana_TSU kana_TE kana_TO kana_NA kana_NI kana_NU kana_NE kana_NO kana_HA kana_HI kana_FU kana_HE kana_HO kana_MA kana_MI kana_MU " +
		"kana_ME kana_MO kana_YA kana_YU kana_YO kana_RA kana_RI kana_RU kana_RE"},
	{0x04dc, "kana_WA kana_N voicedsound semivoicedsound"}, {0x05ac, "Arabic_comma"}, {0x05bb, "Arabic_semicolon"},
	{0x05bf, "Arabic_question_mark"},
	{0x05c1, "Arabic_hamza Arabic_maddaonalef Arabic_hamzaonalef Arabic_hamzaonwaw Arabic_hamzaunderalef Arabic_hamzaonyeh Arabic_alef " +
		"Arabic_beh Arabic_tehmarbuta Arabic_teh Arabic_theh Arabic_jeem Arabic_hah Arabic_khah Arabic_dal Arabic_thal Arabic_ra Arabic_zain " +
		"Arabic_seen Arabic_sheen Arabic_sad Arabic_dad Arabic_tah Arabic_zah Arabic_ain Arabic_ghain"},
	{0x05e0, "Arabic_tatweel Arabic_feh Arabic_qaf Arabic_kaf Arabic_lam Arabic_meem Arabic_noon Arabic_ha Arabic_waw Arabic_alefmaksura " +
		"Arabic_yeh Arabic_fathatan Arabic_dammatan Arabic_kasratan Arabic_fatha Arabic_damma Arabic_kasra Arabic_shadda Arabic_sukun"},
	{0x06a2, "Macedonia_gje Cyrillic_io"}, {0x06a5, "Macedonia_dse"}, {0x06a8, "Cyrillic_je Cyrillic_lje Cyrillic_nje"}, {0x06ac, "Macedonia_kje"},
	{0x06af, "Cyrillic_dzhe numerosign"}, {0x06b2, "Macedonia_GJE Cyrillic_IO"}, {0x06b5, "Macedonia_DSE"},
	{0x06b8, "Cyrillic_JE Cyrillic_LJE Cyrillic_NJE"}, {0x06bc, "Macedonia_KJE"},
	{0x06bf, "Cyrillic_DZHE Cyrillic_yu Cyrillic_a Cyrillic_be Cyrillic_tse Cyrillic_de Cyrillic_ie Cyrillic_ef Cyrillic_ghe Cyrillic_ha " +
		"Cyrillic_i Cyrillic_shorti Cyrillic_ka Cyrillic_el Cyrillic_em Cyrillic_en Cyrillic_o Cyrillic_pe Cyrillic_ya Cyrillic_er Cyrillic_es " +
		"Cyrillic_te Cyrillic_u Cyrillic_zhe Cyrillic_ve Cyrillic_softsign Cyrillic_yeru Cyrillic_ze Cyrillic_sha Cyrillic_e Cyrillic_shcha " +
		"Cyrillic_che Cyrillic_hardsign Cyrillic_YU Cyrillic_A Cyrillic_BE Cyrillic_TSE Cyrillic_DE Cyrillic_IE Cyrillic_EF Cyrillic_GHE " +
		"Cyrillic_HA Cyrillic_I Cyrillic_SHORTI Cyrillic_KA Cyrillic_EL Cyrillic_EM Cyrillic_EN Cyrillic_O Cyrillic_PE Cyrillic_YA Cyrillic_ER " +
		"Cyrillic_ES Cyrillic_TE Cyrillic_U Cyrillic_ZHE Cyrillic_VE Cyrillic_SOFTSIGN Cyrillic_YERU Cyrillic_ZE Cyrillic_SHA Cyrillic_E " +
		"Cyrillic_SHCHA Cyrillic_CHE Cyrillic_HARDSIGN"},
	{0x07d0, "Greek_PI"}, {0x07d9, "Greek_OMEGA"}, {0x07ec, "Greek_mu"}, {0x07f0, "Greek_pi"}, {0x08a3, "horizconnector"},
	{0x08bc, "lessthanequal notequal greaterthanequal"}, {0x08c2, "infinity"}, {0x08de, "logicaland logicalor"},
	{0x08fb, "leftarrow uparrow rightarrow downarrow"}, {0x0aa9, "emdash endash"}, {0x0aae, "ellipsis"},
	{0x0ac3, "oneeighth threeeighths fiveeighths seveneighths"}, {0x0ac9, "trademark"},
	{0x0ad0, "leftsinglequotemark rightsinglequotemark leftdoublequotemark rightdoublequotemark"}, {0x0ad5, "permille"},
	{0x0afd, "singlelowquotemark doublelowquotemark"},
	{0x0da1, "Thai_kokai Thai_khokhai Thai_khokhuat Thai_khokhwai Thai_khokhon Thai_khorakhang Thai_ngongu Thai_chochan Thai_choching " +
		"Thai_chochang Thai_soso Thai_chochoe Thai_yoying Thai_dochada Thai_topatak Thai_thothan Thai_thonangmontho Thai_thophuthao Thai_nonen " +
		"Thai_dodek Thai_totao Thai_thothung Thai_thothahan Thai_thothong Thai_nonu Thai_bobaimai Thai_popla Thai_phophung Thai_fofa Thai_phophan " +
		"Thai_fofan Thai_phosamphao Thai_moma Thai_yoyak Thai_rorua Thai_ru Thai_loling Thai_lu Thai_wowaen Thai_sosala Thai_sorusi Thai_sosua " +
		"Thai_hohip Thai_lochula Thai_oang Thai_honokhuk Thai_paiyannoi Thai_saraa Thai_maihanakat Thai_saraaa Thai_saraam Thai_sarai Thai_saraii " +
		"Thai_saraue Thai_sarauee Thai_sarau Thai_sarauu Thai_phinthu"},
	{0x0ddf, "Thai_baht Thai_sarae Thai_saraae Thai_sarao Thai_saraaimaimuan Thai_saraaimaimalai Thai_lakkhangyao Thai_maiyamok Thai_maitaikhu " +
		"Thai_maiek Thai_maitho Thai_maitri Thai_maichattawa Thai_thanthakhat Thai_nikhahit"},
	{0x0df0, "Thai_leksun Thai_leknung Thai_leksong Thai_leksam Thai_leksi Thai_lekha Thai_lekhok Thai_lekchet Thai_lekpaet Thai_lekkao"},
	{0x13bc, "OE oe"}, {0x20ac, "EuroSign"}, {0xfe03, "ISO_Level3_Shift ISO_Level3_Latch"}, {0xfe08, "ISO_Next_Group"}, {0xfe0c, "ISO_First_Group"},
	{0xfe0e, "ISO_Last_Group"}, {0xfe20, "ISO_Left_Tab"},
	{0xfe50, "dead_grave dead_acute dead_circumflex dead_tilde dead_macron dead_breve dead_abovedot dead_diaeresis dead_abovering " +
		"dead_doubleacute dead_caron dead_cedilla dead_ogonek dead_iota dead_voiced_sound dead_semivoiced_sound dead_belowdot dead_hook dead_horn " +
		"dead_stroke"},
	{0xfe68, "dead_belowmacron"}, {0xfe6e, "dead_belowcomma"}, {0xff08, "BackSpace Tab Linefeed"}, {0xff0d, "Return"},
	{0xff13, "Pause Scroll_Lock Sys_Req"}, {0xff1b, "Escape"}, {0xff20, "Multi_key Kanji Muhenkan Henkan_Mode"},
	{0xff25, "Hiragana Katakana Hiragana_Katakana"}, {0xff29, "Hankaku Zenkaku_Hankaku"}, {0xff30, "Eisu_toggle"},
	{0xff50, "Home Left Up Right Down Prior Next End"}, {0xff55, "Page_Up Page_Down"}, {0xff61, "Print Execute Insert"},
	{0xff65, "Undo Redo Menu Find Cancel Help"}, {0xff7e, "Mode_switch Num_Lock"}, {0xff8d, "KP_Enter"},
	{0xff95, "KP_Home KP_Left KP_Up KP_Right KP_Down KP_Prior KP_Next KP_End KP_Begin KP_Insert KP_Delete"}, {0xff9a, "KP_Page_Up KP_Page_Down"},
	{0xffaa, "KP_Multiply KP_Add KP_Separator KP_Subtract KP_Decimal KP_Divide KP_0 KP_1 KP_2 KP_3 KP_4 KP_5 KP_6 KP_7 KP_8 KP_9"},
	{0xffbd, "KP_Equal F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24 F25 F26 F27 F28 F29 F30 F31 F32 " +
		"F33 F34 F35 Shift_L Shift_R Control_L Control_R Caps_Lock"},
	{0xffe7, "Meta_L Meta_R Alt_L Alt_R Super_L Super_R"}, {0xffff, "Delete"},
}
