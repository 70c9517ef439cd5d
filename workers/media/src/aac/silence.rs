//! A frame of silence: what a raw_data_block (ISO 14496-3 §4.4.2.1) looks
//! like when no scale factor band is coded.

use bytes::Bytes;

use super::bits::BitWriter;

/// id_syn_ele, table 4.85.
const ID_SCE: u32 = 0;
const ID_CPE: u32 = 1;
const ID_LFE: u32 = 3;
const ID_END: u32 = 7;

/// One AAC-LC frame of digital silence for 1 to 6 or 8 channels, any sample
/// rate; `None` for other layouts. Its elements are those of table 1.19.
///
/// The frame before it still rings out into it, as overlapping windows do.
pub fn silent_frame(channels: u8) -> Option<Bytes> {
    // The element and its element_instance_tag.
    let elements: &[(u32, u32)] = match channels {
        1 => &[(ID_SCE, 0)],
        2 => &[(ID_CPE, 0)],
        3 => &[(ID_SCE, 0), (ID_CPE, 0)],
        4 => &[(ID_SCE, 0), (ID_CPE, 0), (ID_SCE, 1)],
        5 => &[(ID_SCE, 0), (ID_CPE, 0), (ID_CPE, 1)],
        6 => &[(ID_SCE, 0), (ID_CPE, 0), (ID_CPE, 1), (ID_LFE, 0)],
        8 => &[(ID_SCE, 0), (ID_CPE, 0), (ID_CPE, 1), (ID_CPE, 2), (ID_LFE, 0)],
        _ => return None,
    };
    let mut bits = BitWriter::default();
    for (element, tag) in elements {
        bits.write(*element, 3).write(*tag, 4);
        if *element == ID_CPE {
            channel_pair(&mut bits);
        } else {
            // single_channel_element, table 4.4, and lfe_channel_element, 4.9
            individual_channel_stream(&mut bits, false);
        }
    }
    bits.write(ID_END, 3);
    Some(bits.finish().into())
}

/// Table 4.5, after its tag.
fn channel_pair(bits: &mut BitWriter) {
    bits.write(1, 1); // common_window
    ics_info(bits);
    bits.write(0, 2); // ms_mask_present
    individual_channel_stream(bits, true);
    individual_channel_stream(bits, true);
}

/// Table 4.6: one long window in which no band is coded.
fn ics_info(bits: &mut BitWriter) {
    bits.write(0, 1); // ics_reserved_bit
    bits.write(0, 2); // window_sequence: ONLY_LONG_SEQUENCE
    bits.write(0, 1); // window_shape: sine
    bits.write(0, 6); // max_sfb
    bits.write(0, 1); // predictor_data_present
}

/// Table 4.50. With max_sfb 0, section_data, scale_factor_data and
/// spectral_data have no bits.
fn individual_channel_stream(bits: &mut BitWriter, common_window: bool) {
    bits.write(0, 8); // global_gain
    if !common_window {
        ics_info(bits);
    }
    bits.write(0, 1); // pulse_data_present
    bits.write(0, 1); // tns_data_present
    bits.write(0, 1); // gain_control_data_present
}
