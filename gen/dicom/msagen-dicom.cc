/* SPDX-License-Identifier: Apache-2.0 */
/* msagen-dicom: pixels and facts of DICOM files for msagen, which starts it with limits on time and memory. DCMTK
 * parses, and decodes JPEG and JPEG-LS; OpenJPEG decodes JPEG 2000.
 *
 *   msagen-dicom facts FILE...                  a line of JSON a file on standard output: what is known of it, or
 *                                               { "error": text }, with "picture": false where it has none
 *   msagen-dicom pixels OUT TYPE FRAME FILE...  the same, and the stored values of all files, one after the other, as
 *                                               an NPY file: [N,H,W] of TYPE (-: what the first file needs), or of
 *                                               colour u1 [N,H,W,3]. FRAME: the number of the one wanted, or -
 *
 * A file is hostile: whatever it says is checked before it is used, and a crash here ends this program only.
 * PS3.3, PS3.5: parts 3 and 5 of the DICOM standard. */
#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dcdicent.h>
#include <dcmtk/dcmdata/dcfcache.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg16.h>
#include <dcmtk/dcmjpeg/djdijg8.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <openjpeg.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

typedef std::vector<uint8_t> Bytes;

enum { MOST_SIDE = 16384, MOST_FRAMES = 65536, TEXT = 512 };
const size_t LUT_MOST = 65536;

/* ---- errors and JSON ---- */

struct Refusal : std::runtime_error {
    bool picture; /* the file should have one */
    explicit Refusal(const std::string &text, bool has = true) : std::runtime_error(text), picture(has) {}
};

__attribute__((format(printf, 1, 2))) std::string text(const char *format, ...)
{
    char line[TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return line;
}

std::string quoted(const std::string &s)
{
    std::string out = "\"";
    for (const char c : s) {
        const unsigned char u = static_cast<unsigned char>(c);
        if (u < ' ' || u > '~')
            out += '?';
        else if (c == '"' || c == '\\')
            (out += '\\') += c;
        else
            out += c;
    }
    return out + "\"";
}

std::string json(double v) { return std::isfinite(v) ? text("%.17g", v) : "null"; }
std::string json(const std::string &s) { return quoted(s); }

template <typename T> std::string json(const std::vector<T> &list)
{
    std::string out = "[";
    for (size_t i = 0; i < list.size(); ++i)
        (out += i ? "," : "") += json(list[i]);
    return out + "]";
}

/* A list with an entry a frame, or one entry where all are alike. */
template <typename T> std::vector<T> folded(const std::vector<T> &list)
{
    for (size_t i = 1; i < list.size(); ++i)
        if (!(list[i] == list[0]))
            return list;
    return std::vector<T>(list.begin(), list.begin() + (list.empty() ? 0 : 1));
}

/* ---- the dictionary ---- */

/* Reading all of DCMTK's takes longer than reading a file. These are the elements that are asked for; the rest is
 * skipped by its length, whatever it is. */
struct Entry {
    DcmTagKey key;
    DcmEVR vr;
};
const Entry DICTIONARY[] = {
    {DCM_FileMetaInformationGroupLength, EVR_UL}, {DCM_TransferSyntaxUID, EVR_UI}, {DCM_ImageType, EVR_CS},
    {DCM_MediaStorageSOPClassUID, EVR_UI}, {DCM_SOPClassUID, EVR_UI}, {DCM_Modality, EVR_CS},
    {DCM_ImagerPixelSpacing, EVR_DS}, {DCM_NominalScannedPixelSpacing, EVR_DS}, {DCM_SpacingBetweenSlices, EVR_DS},
    {DCM_SequenceOfUltrasoundRegions, EVR_SQ}, {DCM_RegionSpatialFormat, EVR_US},
    {DCM_PhysicalUnitsXDirection, EVR_US}, {DCM_PhysicalUnitsYDirection, EVR_US}, {DCM_PhysicalDeltaX, EVR_FD},
    {DCM_PhysicalDeltaY, EVR_FD}, {DCM_SeriesInstanceUID, EVR_UI}, {DCM_InstanceNumber, EVR_IS},
    {DCM_ImagePositionPatient, EVR_DS}, {DCM_ImageOrientationPatient, EVR_DS},
    {DCM_PlanePositionSequence, EVR_SQ}, {DCM_PlaneOrientationSequence, EVR_SQ},
    {DCM_SamplesPerPixel, EVR_US}, {DCM_PhotometricInterpretation, EVR_CS}, {DCM_PlanarConfiguration, EVR_US},
    {DCM_NumberOfFrames, EVR_IS}, {DCM_Rows, EVR_US}, {DCM_Columns, EVR_US}, {DCM_PixelSpacing, EVR_DS},
    {DCM_BitsAllocated, EVR_US}, {DCM_BitsStored, EVR_US}, {DCM_HighBit, EVR_US}, {DCM_PixelRepresentation, EVR_US},
    {DCM_PixelPaddingValue, EVR_xs}, {DCM_PixelPaddingRangeLimit, EVR_xs}, {DCM_WindowCenter, EVR_DS},
    {DCM_WindowWidth, EVR_DS}, {DCM_RescaleIntercept, EVR_DS}, {DCM_RescaleSlope, EVR_DS},
    {DCM_VOILUTFunction, EVR_CS}, {DCM_RedPaletteColorLookupTableDescriptor, EVR_xs},
    {DCM_GreenPaletteColorLookupTableDescriptor, EVR_xs}, {DCM_BluePaletteColorLookupTableDescriptor, EVR_xs},
    {DCM_RedPaletteColorLookupTableData, EVR_OW}, {DCM_GreenPaletteColorLookupTableData, EVR_OW},
    {DCM_BluePaletteColorLookupTableData, EVR_OW}, {DCM_SegmentedRedPaletteColorLookupTableData, EVR_OW},
    {DCM_SegmentedGreenPaletteColorLookupTableData, EVR_OW}, {DCM_SegmentedBluePaletteColorLookupTableData, EVR_OW},
    {DCM_ModalityLUTSequence, EVR_SQ}, {DCM_LUTDescriptor, EVR_xs}, {DCM_LUTData, EVR_lt},
    {DCM_VOILUTSequence, EVR_SQ}, {DCM_PixelMeasuresSequence, EVR_SQ}, {DCM_FrameVOILUTSequence, EVR_SQ},
    {DCM_PixelValueTransformationSequence, EVR_SQ}, {DCM_GridFrameOffsetVector, EVR_DS},
    {DCM_SharedFunctionalGroupsSequence, EVR_SQ}, {DCM_PerFrameFunctionalGroupsSequence, EVR_SQ},
    {DCM_ExtendedOffsetTable, EVR_OV}, {DCM_FloatPixelData, EVR_OF}, {DCM_DoubleFloatPixelData, EVR_OD},
    {DCM_PixelData, EVR_ox},
};

void set_up()
{
    setenv("DCMDICTPATH", "/dev/null", 1);
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DcmDataDictionary &dictionary = dcmDataDict.wrlock();
    for (const Entry &e : DICTIONARY)
        dictionary.addEntry(new DcmDictEntry(e.key.getGroup(), e.key.getElement(), DcmVR(e.vr), "", 1, DcmVariableVM,
                                             "DICOM", OFFalse, NULL));
    dcmDataDict.wrunlock();
    dcmEnableUnknownVRConversion.set(OFTrue);
    DJLSDecoderRegistration::registerCodecs(EJLSUC_never, EJLSPC_colorByPixel);
}

/* ---- values of elements ---- */

/* Bytes of the open file, but for deflated ones: no element has more, whatever it claims. DCMTK would take memory for
 * all, and turn the bytes of what it could not read. */
uint64_t largest;

DcmElement *element(DcmItem *item, const DcmTagKey &tag)
{
    DcmElement *e = NULL;
    if (!item || item->findAndGetElement(tag, e).bad() || !e)
        return NULL;
    return tag != DCM_PixelData && e->isLeaf() && e->getLength() > largest ? NULL : e;
}

bool parsed(const std::string &s, double &v)
{
    char *end = NULL;
    v = strtod(s.c_str(), &end);
    return end != s.c_str() && *(end + strspn(end, " ")) == '\0' && std::isfinite(v);
}

/* Value i of an element as a number; false where there is none, or it is no finite number. */
bool number(DcmElement *e, unsigned long i, double &v)
{
    OFString s;
    Uint16 u = 0;
    Sint16 n = 0;
    Float64 d = 0;
    Float32 f = 0;
    bool found = false;
    switch (e ? e->ident() : EVR_UNKNOWN) {
    case EVR_DS:
    case EVR_IS:
        found = e->getOFString(s, i).good() && parsed(s.c_str(), v);
        break;
    case EVR_FD: found = e->getFloat64(d, i).good(), v = d; break;
    case EVR_FL: found = e->getFloat32(f, i).good(), v = static_cast<double>(f); break;
    case EVR_SS: found = e->getSint16(n, i).good(), v = n; break;
    default: found = e && e->getUint16(u, i).good(), v = u; break;
    }
    return found && std::isfinite(v);
}

bool number(DcmItem *item, const DcmTagKey &tag, double &v) { return number(element(item, tag), 0, v); }

std::vector<double> numbers(DcmElement *e, unsigned long most)
{
    std::vector<double> list;
    double v;
    OFString all;
    if (e && (e->ident() == EVR_DS || e->ident() == EVR_IS)) { /* at once: value i takes a search from the first */
        std::string s = e->getOFStringArray(all).good() ? all.c_str() : "";
        for (size_t at = 0, end; at < s.size() && list.size() < most; at = end + 1) {
            end = std::min(s.find('\\', at), s.size());
            if (!parsed(s.substr(at, end - at), v))
                break;
            list.push_back(v);
        }
        return list;
    }
    const unsigned long n = e ? std::min(e->getVM(), most) : 0;
    for (unsigned long i = 0; i < n && number(e, i, v); ++i)
        list.push_back(v);
    return list;
}

std::string word(DcmItem *item, const DcmTagKey &tag, unsigned long i = 0)
{
    OFString s;
    DcmElement *e = element(item, tag);
    if (!e || e->getOFString(s, i).bad())
        return "";
    std::string w(s.c_str());
    w.erase(w.find_last_not_of(' ') + 1);
    w.erase(0, w.find_first_not_of(' '));
    return w;
}

DcmItem *item_of(DcmItem *item, const DcmTagKey &sequence, unsigned long i = 0)
{
    DcmElement *e = element(item, sequence);
    DcmSequenceOfItems *s = e && e->ident() == EVR_SQ ? static_cast<DcmSequenceOfItems *>(e) : NULL;
    return s && i < s->card() ? s->getItem(i) : NULL;
}

/* The bytes of an element as they are on a little-endian machine. */
Bytes bytes_of(DcmElement *e)
{
    Uint8 *bytes = NULL;
    Uint16 *words = NULL;
    if (!e || e->getLength() == 0 || e->getLength() > largest || e->loadAllDataIntoMemory().bad())
        return Bytes();
    const size_t length = e->getLength();
    if (e->getUint16Array(words).good() && words)
        bytes = reinterpret_cast<Uint8 *>(words);
    else if (e->getUint8Array(bytes).bad() || !bytes)
        return Bytes();
    return Bytes(bytes, bytes + length);
}

/* ---- tables ---- */

/* A lookup table: a palette's colour, modality or VOI (PS3.3 C.7.6.3.1.5, C.11.1, C.11.2). */
struct Table {
    long first; /* the stored value that its first entry stands for */
    int bits;
    bool words; /* entries had 16 bits each in the file */
    std::vector<double> entries;
    Table() : first(0), bits(0), words(false) {}
};

std::string json(const Table &t)
{
    return text("{\"first\":%ld,\"bits\":%d,\"entries\":", t.first, t.bits) + json(t.entries) + "}";
}

unsigned word_at(const Bytes &b, size_t i) { return static_cast<unsigned>(b[2 * i] | b[2 * i + 1] << 8); }

/* Descriptor: entries (0: 65536), first value mapped, bits. Whether its first value has a sign, its VR tells, or
 * `negative`: that values below 0 are looked up. */
Table described(DcmItem *item, const DcmTagKey &tag, bool negative, size_t &count, const char *name)
{
    Table t;
    DcmElement *e = element(item, tag);
    const std::vector<double> d = numbers(e, 3);
    if (d.size() != 3)
        throw Refusal(text("%s: expected a descriptor of 3 numbers, found %zu", name, d.size()));
    for (double number : d)
        if (!(number >= -32768 && number <= 65535 && number == std::floor(number)))
            throw Refusal(text("%s: expected a descriptor of whole numbers from -32768 to 65535, found %g", name,
                               number));
    count = d[0] < 0 ? static_cast<size_t>(d[0] + 65536) : d[0] > 0 ? static_cast<size_t>(d[0]) : LUT_MOST;
    t.first = static_cast<long>(d[1]);
    if (negative && t.first > 32767)
        t.first -= 65536;
    if (!negative && t.first < 0 && e->ident() != EVR_SS)
        t.first += 65536;
    t.bits = static_cast<int>(d[2]);
    if (t.bits < 1 || t.bits > 16)
        throw Refusal(text("%s: expected entries of 8 to 16 bits, found %d", name, t.bits));
    return t;
}

/* Entries as words where there are enough bytes for that, else as bytes. */
void fill(Table &t, const Bytes &b, size_t count, const char *name)
{
    t.words = b.size() / 2 >= count;
    if (!t.words && (t.bits > 8 || b.size() < count))
        throw Refusal(text("%s: expected %zu entries, found %zu bytes", name, count, b.size()));
    for (size_t i = 0; i < count; ++i)
        t.entries.push_back(t.words ? word_at(b, i) : b[i]);
}

Table table_of(DcmItem *item, bool negative, const char *name)
{
    size_t count = 0;
    Table t = described(item, DCM_LUTDescriptor, negative, count, name);
    fill(t, bytes_of(element(item, DCM_LUTData)), count, name);
    return t;
}

/* Segments of a palette (PS3.3 C.7.9.2): discrete, linear, and copies of segments before. */
class Segments {
public:
    Segments(const Bytes &b, bool words, size_t most) : data(b), wide(words), limit(most) {}
    std::vector<double> expanded()
    {
        size_t at = 0;
        while (at + 2 <= size() && out.size() < limit)
            at = one(at, true);
        return out;
    }

private:
    const Bytes &data;
    const bool wide;
    const size_t limit;
    std::vector<double> out;

    size_t size() const { return wide ? data.size() / 2 : data.size(); }
    unsigned value(size_t i) const
    {
        if (i >= size())
            throw Refusal("palette: a segment ends early");
        return wide ? word_at(data, i) : data[i];
    }
    void push(double v)
    {
        if (out.size() < limit)
            out.push_back(v);
    }
    /* The segment at `at`; where the next begins. */
    size_t one(size_t at, bool copies)
    {
        const unsigned code = value(at), n = value(at + 1);
        if (n == 0)
            throw Refusal("palette: expected a segment of some entries, found one of none");
        if (code == 0) {
            for (size_t i = 0; i < n; ++i)
                push(value(at + 2 + i));
            return at + 2 + n;
        }
        if (code == 1 && !out.empty()) {
            const double from = out.back(), to = value(at + 2);
            for (size_t i = 1; i <= n; ++i)
                push(std::nearbyint(from + (to - from) * static_cast<double>(i) / n));
            return at + 3;
        }
        if (code != 2 || !copies)
            throw Refusal(text("palette: expected a segment of type 0, 1 or 2, found %u", code));
        const size_t parts = wide ? 2 : 4;
        size_t offset = 0;
        for (size_t i = 0; i < parts; ++i)
            offset |= static_cast<size_t>(value(at + 2 + i)) << (i * (wide ? 16 : 8));
        size_t from = wide ? offset / 2 : offset;
        for (size_t i = 0; i < n && out.size() < limit; ++i)
            from = one(from, false);
        return at + 2 + parts;
    }
};

struct Palette {
    Table colour[3];
    int shift; /* of entries down to 8 bits */
};

Palette palette_of(DcmItem *item, bool negative)
{
    static const struct {
        DcmTagKey descriptor, plain, segmented;
    } TAGS[3] = {
        {DCM_RedPaletteColorLookupTableDescriptor, DCM_RedPaletteColorLookupTableData,
         DCM_SegmentedRedPaletteColorLookupTableData},
        {DCM_GreenPaletteColorLookupTableDescriptor, DCM_GreenPaletteColorLookupTableData,
         DCM_SegmentedGreenPaletteColorLookupTableData},
        {DCM_BluePaletteColorLookupTableDescriptor, DCM_BluePaletteColorLookupTableData,
         DCM_SegmentedBluePaletteColorLookupTableData}};
    Palette p;
    double most = 0;
    for (int c = 0; c < 3; ++c) {
        size_t count = 0;
        Table &t = p.colour[c] = described(item, TAGS[c].descriptor, negative, count, "palette");
        const Bytes segmented = bytes_of(element(item, TAGS[c].segmented));
        if (segmented.empty()) {
            fill(t, bytes_of(element(item, TAGS[c].plain)), count, "palette");
        } else {
            t.entries = Segments(segmented, t.bits > 8, count).expanded();
            t.words = t.bits > 8;
        }
        if (t.entries.empty())
            throw Refusal("palette: expected entries, found none");
        most = std::max(most, *std::max_element(t.entries.begin(), t.entries.end()));
    }
    /* Tables of 16 bits that hold bytes are met; others keep their high byte. */
    p.shift = most > 255 ? 8 : 0;
    return p;
}

/* ---- facts ---- */

struct Window {
    double centre, width;
    std::string function;
    bool operator==(const Window &o) const
    {
        return centre == o.centre && width == o.width && function == o.function;
    }
};

std::string json(const Window &w)
{
    return "[" + json(w.centre) + "," + json(w.width) + "," + quoted(w.function) + "]";
}

/* What a file says of its picture, checked. */
struct Facts {
    long rows, columns, frames, samples, planar;
    int allocated, stored, high, type_bits;
    bool is_signed, type_signed, colour, palette;
    std::string photometric, syntax, syntax_name, sop_class, modality, series, image_type;
    double instance;
    std::vector<std::vector<double>> rescale, positions, orientations;
    std::vector<std::vector<Window>> windows;
    std::vector<double> padding, spacing, steps;
    std::string spacing_of;
    std::vector<Table> modality_lut, voi_lut;
    std::vector<std::string> notes;
    E_TransferSyntax xfer;
    size_t pixels() const { return static_cast<size_t>(rows) * static_cast<size_t>(columns); }
    size_t cells() const { return pixels() * static_cast<size_t>(samples); }
};

/* The NPY type of a mono picture's values: 'u1', 'i2', ... */
std::string type_name(const Facts &f)
{
    return f.colour ? "u1" : text("%c%d", f.type_signed ? 'i' : 'u', f.type_bits / 8);
}

std::string json(const Facts &f)
{
    std::string out = text("{\"rows\":%ld,\"columns\":%ld,\"frames\":%ld,\"colour\":%s,\"palette\":%s,\"signed\":%s,"
                           "\"bits\":%d", f.rows, f.columns, f.frames, f.colour ? "true" : "false",
                           f.palette ? "true" : "false", f.is_signed ? "true" : "false", f.stored);
    const std::pair<const char *, std::string> texts[] = {
        {"type", type_name(f)}, {"photometric", f.photometric}, {"transfer_syntax", f.syntax},
        {"transfer_syntax_name", f.syntax_name}, {"sop_class", f.sop_class}, {"modality", f.modality},
        {"series", f.series}, {"image_type", f.image_type}, {"spacing_of", f.spacing_of}};
    for (const auto &t : texts)
        out += text(",\"%s\":", t.first) + quoted(t.second);
    out += ",\"instance\":" + json(f.instance) + ",\"rescale\":" + json(f.rescale) + ",\"windows\":" + json(f.windows)
           + ",\"positions\":" + json(f.positions) + ",\"orientations\":" + json(f.orientations) + ",\"padding\":"
           + json(f.padding) + ",\"spacing\":" + json(f.spacing) + ",\"steps\":" + json(f.steps) + ",\"notes\":"
           + json(f.notes);
    if (!f.modality_lut.empty())
        out += ",\"modality_lut\":" + json(f.modality_lut[0]);
    if (!f.voi_lut.empty())
        out += ",\"voi_lut\":" + json(f.voi_lut[0]);
    return out + "}";
}

/* Names of transfer syntaxes that DCMTK 3.6.7 does not know. */
std::string syntax_name(const std::string &uid)
{
    static const char *const NEWER[][2] = {
        {"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)"},
        {"1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)"},
        {"1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"},
        {"1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced"},
        {"1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate"},
        {"1.2.840.10008.1.2.4.110", "JPEG XL Lossless"},
        {"1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"},
        {"1.2.840.10008.1.2.4.112", "JPEG XL"},
        {"1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression"},
        {"1.2.840.10008.1.2.6.1", "RFC 2557 MIME Encapsulation"},
        {"1.2.840.10008.1.2.6.2", "XML Encoding"}};
    for (const auto &n : NEWER)
        if (uid == n[0])
            return n[1];
    const DcmXfer xfer(uid.c_str());
    return xfer.getXfer() == EXS_Unknown ? "unknown" : xfer.getXferName();
}

bool is_jpeg(E_TransferSyntax x)
{
    return (x >= EXS_JPEGProcess1 && x <= EXS_JPEGProcess29) || x == EXS_JPEGProcess14SV1;
}

void check_syntax(const Facts &f)
{
    switch (f.xfer) {
    case EXS_LittleEndianImplicit:
    case EXS_LittleEndianExplicit:
    case EXS_BigEndianExplicit:
    case EXS_DeflatedLittleEndianExplicit:
    case EXS_RLELossless:
    case EXS_JPEGLSLossless:
    case EXS_JPEGLSLossy:
    case EXS_JPEG2000LosslessOnly:
    case EXS_JPEG2000: return;
    default: break;
    }
    if (!is_jpeg(f.xfer))
        throw Refusal(text("transfer syntax %s, %s: not read here: convert the file to Explicit VR Little Endian",
                           f.syntax.c_str(), f.syntax_name.c_str()));
}

long whole(DcmItem *d, const DcmTagKey &tag, const char *name, long low, long high)
{
    double v = 0;
    if (!number(d, tag, v))
        throw Refusal(text("%s: expected a number, found none", name));
    if (v < static_cast<double>(low) || v > static_cast<double>(high) || v != std::floor(v))
        throw Refusal(text("%s: expected %ld to %ld, found %.10g", name, low, high, v));
    return static_cast<long>(v);
}

/* Grey of so many bits, with or without a sign, in the smallest of msagen's types: it has no unsigned words. */
void choose_type(Facts &f)
{
    const int bits = f.is_signed || f.stored <= 8 ? f.stored : f.stored + 1;
    f.type_bits = bits <= 8 ? 8 : bits <= 16 ? 16 : bits <= 32 ? 32 : 64;
    f.type_signed = f.is_signed || f.type_bits > 8;
}

void read_photometric(Facts &f, DcmItem *d)
{
    double v = 0;
    f.photometric = word(d, DCM_PhotometricInterpretation);
    const bool said = number(d, DCM_SamplesPerPixel, v);
    if (f.photometric.empty()) {
        f.photometric = said && v == 3 ? "RGB" : "MONOCHROME2";
        f.notes.push_back("no PhotometricInterpretation: taken as " + f.photometric);
    }
    const std::string &p = f.photometric;
    const bool grey = p == "MONOCHROME1" || p == "MONOCHROME2";
    f.palette = p == "PALETTE COLOR";
    f.colour = p == "RGB" || p == "YBR_FULL" || p == "YBR_FULL_422" || p == "YBR_PARTIAL_422" || p == "YBR_ICT"
               || p == "YBR_RCT";
    if (!grey && !f.palette && !f.colour)
        throw Refusal("PhotometricInterpretation: expected grey, palette, RGB or YBR, found " + p);
    f.samples = said ? whole(d, DCM_SamplesPerPixel, "SamplesPerPixel", 1, 4) : f.colour ? 3 : 1;
    if (f.samples != (f.colour ? 3 : 1))
        throw Refusal(text("SamplesPerPixel: expected %d with %s, found %ld", f.colour ? 3 : 1, p.c_str(), f.samples));
    f.planar = number(d, DCM_PlanarConfiguration, v) && v == 1;
}

void read_frames(Facts &f, DcmItem *d)
{
    double v = 1;
    f.frames = 1;
    if (word(d, DCM_NumberOfFrames).empty())
        return;
    if (number(d, DCM_NumberOfFrames, v) && v == 0)
        f.notes.push_back("NumberOfFrames is 0: taken as 1");
    else
        f.frames = whole(d, DCM_NumberOfFrames, "NumberOfFrames", 1, MOST_FRAMES);
}

void read_pixel_module(Facts &f, DcmItem *d)
{
    read_photometric(f, d);
    read_frames(f, d);
    f.rows = whole(d, DCM_Rows, "Rows", 1, MOST_SIDE);
    f.columns = whole(d, DCM_Columns, "Columns", 1, MOST_SIDE);
    f.allocated = static_cast<int>(whole(d, DCM_BitsAllocated, "BitsAllocated", 1, 64));
    if (f.allocated != 1 && f.allocated != 8 && f.allocated != 16 && f.allocated != 32)
        throw Refusal(text("BitsAllocated: expected 1, 8, 16 or 32, found %d", f.allocated));
    if (f.colour && f.allocated != 8 && f.allocated != 16)
        throw Refusal(text("BitsAllocated: expected 8 or 16 with %s, found %d", f.photometric.c_str(), f.allocated));
    double v = 0;
    f.stored = number(d, DCM_BitsStored, v) ? static_cast<int>(whole(d, DCM_BitsStored, "BitsStored", 1, f.allocated))
                                            : f.allocated;
    f.high = f.stored - 1;
    if (number(d, DCM_HighBit, v)) {
        f.high = static_cast<int>(whole(d, DCM_HighBit, "HighBit", 0, f.allocated - 1));
        if (f.high < f.stored - 1)
            throw Refusal(text("HighBit: expected %d or more with %d bits stored, found %d", f.stored - 1, f.stored,
                               f.high));
    }
    f.is_signed = number(d, DCM_PixelRepresentation, v)
                  && whole(d, DCM_PixelRepresentation, "PixelRepresentation", 0, 1) == 1;
    choose_type(f);
}

/* An element of a frame: of its functional groups, of those that all share, or of the file (PS3.3 C.7.6.16). */
class Frames {
public:
    explicit Frames(DcmItem *dataset)
        : all(dataset), shared(item_of(dataset, DCM_SharedFunctionalGroupsSequence)), each(NULL)
    {
        DcmElement *e = element(dataset, DCM_PerFrameFunctionalGroupsSequence);
        if (e && e->ident() == EVR_SQ)
            each = static_cast<DcmSequenceOfItems *>(e);
    }
    void go_to(long frame)
    {
        own = NULL;
        if (!each || static_cast<unsigned long>(frame) >= each->card())
            return;
        own = frame == 0 ? each->nextInContainer(NULL) : each->nextInContainer(last);
        last = own;
    }
    DcmElement *find(const DcmTagKey &sequence, const DcmTagKey &tag)
    {
        DcmItem *own_item = own && own->ident() == EVR_item ? static_cast<DcmItem *>(own) : NULL;
        DcmElement *e = element(item_of(own_item, sequence), tag);
        if (!e || e->isEmpty())
            e = element(item_of(shared, sequence), tag);
        return e && !e->isEmpty() ? e : element(all, tag);
    }
    std::string word_of(const DcmTagKey &sequence, const DcmTagKey &tag)
    {
        OFString s;
        DcmElement *e = find(sequence, tag);
        return e && e->getOFString(s, 0).good() ? s.c_str() : "";
    }

private:
    DcmItem *all, *shared;
    DcmSequenceOfItems *each;
    DcmObject *own = NULL, *last = NULL;
};

std::vector<Window> windows_of(Frames &frames)
{
    std::vector<Window> list;
    const std::vector<double> centres = numbers(frames.find(DCM_FrameVOILUTSequence, DCM_WindowCenter), 16);
    const std::vector<double> widths = numbers(frames.find(DCM_FrameVOILUTSequence, DCM_WindowWidth), 16);
    std::string function = frames.word_of(DCM_FrameVOILUTSequence, DCM_VOILUTFunction);
    if (function.empty())
        function = "LINEAR";
    for (size_t i = 0; i < centres.size() && i < widths.size(); ++i)
        list.push_back(Window{centres[i], widths[i], function});
    return list;
}

void read_frame_facts(Facts &f, DcmItem *d)
{
    Frames frames(d);
    for (long i = 0; i < f.frames; ++i) {
        frames.go_to(i);
        double slope = 1, intercept = 0;
        if (!number(frames.find(DCM_PixelValueTransformationSequence, DCM_RescaleSlope), 0, slope))
            slope = 1;
        if (!number(frames.find(DCM_PixelValueTransformationSequence, DCM_RescaleIntercept), 0, intercept))
            intercept = 0;
        f.rescale.push_back({slope, intercept});
        f.windows.push_back(windows_of(frames));
        f.positions.push_back(numbers(frames.find(DCM_PlanePositionSequence, DCM_ImagePositionPatient), 3));
        f.orientations.push_back(numbers(frames.find(DCM_PlaneOrientationSequence, DCM_ImageOrientationPatient), 6));
        if (f.positions.back().size() != 3)
            f.positions.back().clear();
        if (f.orientations.back().size() != 6)
            f.orientations.back().clear();
        if (i == 0)
            f.spacing = numbers(frames.find(DCM_PixelMeasuresSequence, DCM_PixelSpacing), 2);
        else if (f.spacing != numbers(frames.find(DCM_PixelMeasuresSequence, DCM_PixelSpacing), 2))
            f.spacing.clear();
    }
    f.rescale = folded(f.rescale);
    f.windows = folded(f.windows);
    f.positions = folded(f.positions);
    f.orientations = folded(f.orientations);
}

/* Centimetres a pixel of the regions that show a plane, where they agree (PS3.3 C.8.5.5). */
std::vector<double> ultrasound_spacing(Facts &f, DcmItem *d)
{
    std::vector<double> found;
    DcmItem *region;
    for (unsigned long i = 0; i < 64 && (region = item_of(d, DCM_SequenceOfUltrasoundRegions, i)) != NULL; ++i) {
        double format = 0, units_x = 0, units_y = 0, dx = 0, dy = 0;
        if (!number(region, DCM_RegionSpatialFormat, format) || format != 1
            || !number(region, DCM_PhysicalUnitsXDirection, units_x) || units_x != 3
            || !number(region, DCM_PhysicalUnitsYDirection, units_y) || units_y != 3
            || !number(region, DCM_PhysicalDeltaX, dx) || !number(region, DCM_PhysicalDeltaY, dy))
            continue;
        const std::vector<double> one = {std::fabs(dy) * 10, std::fabs(dx) * 10};
        if (!found.empty() && (std::fabs(one[0] - found[0]) > 1e-6 || std::fabs(one[1] - found[1]) > 1e-6)) {
            f.notes.push_back("its ultrasound regions have different scales: no spacing");
            return std::vector<double>();
        }
        found = one;
    }
    return found;
}

/* Millimetres between rows, and between columns. */
void read_spacing(Facts &f, DcmItem *d)
{
    const struct {
        const char *name;
        std::vector<double> spacing;
    } sources[] = {{"PixelSpacing", f.spacing},
                   {"ImagerPixelSpacing", numbers(element(d, DCM_ImagerPixelSpacing), 2)},
                   {"NominalScannedPixelSpacing", numbers(element(d, DCM_NominalScannedPixelSpacing), 2)},
                   {"SequenceOfUltrasoundRegions", ultrasound_spacing(f, d)}};
    f.spacing.clear();
    for (const auto &s : sources) {
        if (s.spacing.size() != 2)
            continue;
        if (s.spacing[0] > 0 && s.spacing[1] > 0) {
            f.spacing = s.spacing;
            f.spacing_of = s.name;
            break;
        }
        f.notes.push_back(text("%s is %.6g, %.6g: no spacing", s.name, s.spacing[0], s.spacing[1]));
    }
    if (f.spacing_of == "ImagerPixelSpacing")
        f.notes.push_back("spacing is that of the detector (ImagerPixelSpacing): the body is smaller than that");
    f.steps = numbers(element(d, DCM_GridFrameOffsetVector), MOST_FRAMES);
    double between = 0;
    if (f.steps.empty() && f.frames > 1 && number(d, DCM_SpacingBetweenSlices, between))
        for (long i = 0; i < f.frames; ++i)
            f.steps.push_back(between * static_cast<double>(i));
    if (f.steps.size() != static_cast<size_t>(f.frames))
        f.steps.clear();
}

/* Whether the modality's values go below 0: a VOI table's first value then has a sign. */
bool goes_below_zero(const Facts &f)
{
    if (f.is_signed)
        return true;
    for (const std::vector<double> &r : f.rescale)
        if (r[1] < 0 || r[0] < 0)
            return true;
    return false;
}

void read_tables(Facts &f, DcmItem *d)
{
    if (f.colour || f.palette)
        return;
    if (DcmItem *item = item_of(d, DCM_ModalityLUTSequence))
        f.modality_lut.push_back(table_of(item, f.is_signed, "ModalityLUTSequence"));
    if (DcmItem *item = item_of(d, DCM_VOILUTSequence))
        f.voi_lut.push_back(table_of(item, f.modality_lut.empty() && goes_below_zero(f), "VOILUTSequence"));
    double v = 0;
    const bool is_signed = f.is_signed;
    for (const DcmTagKey &tag : {DCM_PixelPaddingValue, DCM_PixelPaddingRangeLimit})
        if (number(d, tag, v) && (tag == DCM_PixelPaddingValue || !f.padding.empty()))
            f.padding.push_back(is_signed && v > 32767 ? v - 65536 : !is_signed && v < 0 ? v + 65536 : v);
}

/* ---- a file ---- */

struct File {
    DcmFileFormat format;
    DcmItem *dataset;
    DcmPixelData *pixels;
    std::string complaint; /* of the parser, at or behind the pixels */
    Facts facts;
};

std::string uid_name(const std::string &uid)
{
    const char *name = dcmFindNameOfUID(uid.c_str());
    return name ? name : uid.empty() ? "unknown" : uid;
}

void find_pixels(File &file)
{
    DcmItem *d = file.dataset;
    DcmElement *e = element(d, DCM_PixelData);
    const std::string what = uid_name(file.facts.sop_class);
    if (e && e->ident() == EVR_PixelData) {
        file.pixels = static_cast<DcmPixelData *>(e);
    } else if (e && e->ident() == EVR_pixelSQ) {
        throw Refusal("PixelData: expected values, found a sequence");
    } else if (element(d, DCM_FloatPixelData)) {
        throw Refusal("FloatPixelData: pixels that are floating-point numbers are not read (" + what + ")");
    } else if (element(d, DCM_DoubleFloatPixelData)) {
        throw Refusal("DoubleFloatPixelData: pixels that are floating-point numbers are not read (" + what + ")");
    } else if (!file.complaint.empty()) {
        throw Refusal("expected a whole DICOM file, found: " + file.complaint);
    } else {
        throw Refusal("expected a picture, found an object without PixelData (" + what + ")", false);
    }
}

void open_file(File &file, const char *path)
{
    Facts &f = file.facts;
    f.instance = NAN;
    file.pixels = NULL;
    /* What has an unknown transfer syntax cannot be parsed: its name is in the part before. */
    largest = OFStandard::getFileSize(path);
    DcmMetaInfo meta;
    meta.loadFile(path);
    f.syntax = word(&meta, DCM_TransferSyntaxUID);
    f.sop_class = word(&meta, DCM_MediaStorageSOPClassUID);
    f.syntax_name = syntax_name(f.syntax);
    f.xfer = DcmXfer(f.syntax.c_str()).getXfer();
    if (!f.syntax.empty())
        check_syntax(f);
    const OFCondition status = file.format.loadFile(path);
    if (status.bad()) {
        file.complaint = status.text();
        /* Once more, each value read from the file when it is asked for: what is not there then fails. */
        file.format.clear();
        file.format.loadFile(path, EXS_Unknown, EGL_noChange, 0);
    }
    file.dataset = file.format.getDataset();
    if (!file.dataset)
        throw Refusal("expected a whole DICOM file, found: " + file.complaint);
    f.xfer = file.format.getDataset()->getOriginalXfer();
    largest = f.xfer == EXS_DeflatedLittleEndianExplicit ? UINT64_MAX : OFStandard::getFileSize(path);
    const std::string sop_class = word(file.dataset, DCM_SOPClassUID);
    if (!sop_class.empty())
        f.sop_class = sop_class;
    f.syntax = DcmXfer(f.xfer).getXferID();
    f.syntax_name = DcmXfer(f.xfer).getXferName();
    if (f.sop_class == UID_MediaStorageDirectoryStorage)
        throw Refusal("expected a picture, found a list of files (DICOMDIR)", false);
    find_pixels(file);
    check_syntax(f);
}

void read_facts(File &file)
{
    Facts &f = file.facts;
    DcmItem *d = file.dataset;
    f.modality = word(d, DCM_Modality);
    f.series = word(d, DCM_SeriesInstanceUID);
    f.image_type = word(d, DCM_ImageType, 2);
    if (!number(d, DCM_InstanceNumber, f.instance))
        f.instance = NAN;
    read_pixel_module(f, d);
    read_frame_facts(f, d);
    read_spacing(f, d);
    read_tables(f, d);
}

/* ---- frames of pixels ---- */

/* A frame's cells as they were decoded, samples of a pixel side by side. */
struct Decoded {
    std::vector<uint32_t> cells;
    int precision;    /* bits that a codestream says its samples have; 0: cells are as allocated */
    bool lossy, rgb;  /* rgb: no YBR, whatever the header says */
    Decoded() : precision(0), lossy(false), rgb(false) {}
};

size_t native_bits(const Facts &f)
{
    const bool halved = f.photometric == "YBR_FULL_422" || f.photometric == "YBR_PARTIAL_422";
    const size_t bits = f.cells() * static_cast<size_t>(f.allocated);
    return halved ? bits / 3 * 2 : bits;
}

/* Pixels that are not compressed, a frame at a time from the file. */
class Native {
public:
    explicit Native(File &opened) : file(opened), bits(native_bits(opened.facts))
    {
        Facts &f = file.facts;
        const uint64_t length = file.pixels->getLength(f.xfer), frames = static_cast<uint64_t>(f.frames);
        if (length > largest)
            throw Refusal(text("PixelData: expected %llu bytes as it says, found the file cut short",
                               static_cast<unsigned long long>(length)));
        const uint64_t full = static_cast<uint64_t>(f.cells()) * static_cast<uint64_t>(f.allocated);
        if (f.photometric.find("_422") != std::string::npos && length * 8 >= full * frames) {
            f.notes.push_back(f.photometric + ", but its chroma is not halved: read as it is");
            bits = full;
        } else if (f.photometric.find("_422") != std::string::npos && f.columns % 2 != 0) {
            throw Refusal(text("Columns: expected an even number with %s, found %ld", f.photometric.c_str(),
                               f.columns));
        }
        halved = bits != full;
        const uint64_t needed = (static_cast<uint64_t>(bits) * frames + 7) / 8;
        if (length < needed)
            throw Refusal(text("PixelData: expected %llu bytes (%ld frames of %ldx%ld), found %llu",
                               static_cast<unsigned long long>(needed), f.frames, f.columns, f.rows,
                               static_cast<unsigned long long>(length)));
        if ((length - needed) * 8 >= bits)
            f.notes.push_back(text("PixelData has more than the %ld frame%s that it is said to have", f.frames,
                                   f.frames > 1 ? "s" : ""));
    }
    Decoded frame(long i)
    {
        const Facts &f = file.facts;
        const uint64_t first = static_cast<uint64_t>(bits) * static_cast<uint64_t>(i), last = first + bits;
        Decoded out;
        const Bytes b = read(static_cast<size_t>(first / 8), static_cast<size_t>((last + 7) / 8 - first / 8));
        if (halved)
            out.cells = whole_chroma(b);
        else
            out.cells = cells(b, static_cast<unsigned>(first % 8));
        if (f.planar && f.samples > 1 && !halved)
            out.cells = by_pixel(out.cells, f.pixels(), static_cast<size_t>(f.samples));
        return out;
    }

private:
    File &file;
    size_t bits; /* of a frame */
    bool halved; /* chroma of two pixels beside each other is one */
    DcmFileCache cache;
    Bytes all; /* of a big-endian file, whose words must be turned */

    Bytes read(size_t at, size_t n)
    {
        if (file.facts.xfer == EXS_BigEndianExplicit) {
            if (all.empty())
                all = bytes_of(file.pixels);
            if (all.size() < at + n)
                throw Refusal("PixelData: it cannot be read: the file is cut short");
            return Bytes(all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(at + n));
        }
        Bytes b(n);
        const OFCondition status = file.pixels->getPartialValue(b.data(), static_cast<Uint32>(at),
                                                                static_cast<Uint32>(n), &cache);
        if (status.bad())
            throw Refusal(text("PixelData: expected %zu bytes from byte %zu on, found %s", n, at,
                               file.complaint.empty() ? status.text() : "the file cut short"));
        return b;
    }
    uint32_t cell(const Bytes &b, size_t i) const
    {
        switch (file.facts.allocated) {
        case 8: return b[i];
        case 16: return word_at(b, i);
        default: break;
        }
        const uint32_t low = word_at(b, 2 * i), high = word_at(b, 2 * i + 1);
        return file.facts.xfer == EXS_BigEndianExplicit ? low << 16 | high : high << 16 | low;
    }
    std::vector<uint32_t> cells(const Bytes &b, unsigned bit) const
    {
        std::vector<uint32_t> out(file.facts.cells());
        for (size_t i = 0; i < out.size(); ++i)
            out[i] = file.facts.allocated > 1 ? cell(b, i) : b[(i + bit) / 8] >> (i + bit) % 8 & 1u;
        return out;
    }
    /* Y1 Y2 Cb Cr: the chroma of the first pixel is that of the second, too. */
    std::vector<uint32_t> whole_chroma(const Bytes &b) const
    {
        std::vector<uint32_t> out(file.facts.cells());
        for (size_t pair = 0; pair < file.facts.pixels() / 2; ++pair)
            for (size_t k = 0; k < 2; ++k) {
                out[6 * pair + 3 * k] = cell(b, 4 * pair + k);
                out[6 * pair + 3 * k + 1] = cell(b, 4 * pair + 2);
                out[6 * pair + 3 * k + 2] = cell(b, 4 * pair + 3);
            }
        return out;
    }
    static std::vector<uint32_t> by_pixel(const std::vector<uint32_t> &planes, size_t pixels, size_t samples)
    {
        std::vector<uint32_t> out(planes.size());
        for (size_t s = 0; s < samples; ++s)
            for (size_t i = 0; i < pixels; ++i)
                out[i * samples + s] = planes[s * pixels + i];
        return out;
    }
};

/* ---- compressed frames ---- */

/* Which fragments are which frame's (PS3.5 A.4). */
class Fragments {
public:
    explicit Fragments(File &opened) : file(opened)
    {
        DcmPixelSequence *sequence = NULL;
        const DcmRepresentationParameter *parameter = NULL;
        E_TransferSyntax xfer = EXS_Unknown;
        file.pixels->getOriginalRepresentationKey(xfer, parameter);
        if (file.pixels->getEncapsulatedRepresentation(xfer, parameter, sequence).bad() || !sequence)
            throw Refusal("PixelData: expected fragments of " + file.facts.syntax_name + ", found none");
        uint64_t at = 0;
        for (DcmObject *o = sequence->nextInContainer(NULL); o; o = sequence->nextInContainer(o)) {
            DcmPixelItem *item = o->ident() == EVR_pixelItem ? static_cast<DcmPixelItem *>(o) : NULL;
            if (!item)
                throw Refusal("PixelData: a fragment cannot be read");
            if (!table) {
                table = item;
                continue;
            }
            starts.push_back(at);
            at += 8 + static_cast<uint64_t>(item->getLength());
            items.push_back(item);
        }
        divide();
    }
    Bytes frame(long i)
    {
        Bytes out;
        for (size_t k = first[static_cast<size_t>(i)]; k < first[static_cast<size_t>(i) + 1]; ++k) {
            const Bytes b = contents(k);
            out.insert(out.end(), b.begin(), b.end());
        }
        return out;
    }

private:
    File &file;
    DcmPixelItem *table = NULL;
    std::vector<DcmPixelItem *> items;
    std::vector<uint64_t> starts;
    std::vector<size_t> first; /* fragment of each frame, and the end of the last */

    Bytes contents(size_t k)
    {
        Uint8 *data = NULL;
        const size_t n = items[k]->getLength();
        if (n == 0)
            return Bytes();
        if (n > largest || items[k]->getUint8Array(data).bad() || !data)
            throw Refusal(text("PixelData: fragment %zu cannot be read: the file is cut short", k));
        return Bytes(data, data + n);
    }
    std::vector<uint64_t> offsets()
    {
        std::vector<uint64_t> list;
        const size_t frames = static_cast<size_t>(file.facts.frames);
        DcmElement *extended = element(file.dataset, DCM_ExtendedOffsetTable);
        Uint64 *wide = NULL;
        if (extended && extended->getLength() == 8 * frames && extended->getUint64Array(wide).good() && wide)
            list.assign(wide, wide + frames);
        Uint8 *data = NULL;
        if (list.empty() && table && table->getLength() == 4 * frames && table->getUint8Array(data).good() && data)
            for (size_t i = 0; i < frames; ++i)
                list.push_back(static_cast<uint64_t>(data[4 * i]) | static_cast<uint64_t>(data[4 * i + 1]) << 8
                               | static_cast<uint64_t>(data[4 * i + 2]) << 16
                               | static_cast<uint64_t>(data[4 * i + 3]) << 24);
        return list;
    }
    /* Whether a table of offsets, each that of a fragment, divides them. */
    bool divided_by_table()
    {
        for (const uint64_t offset : offsets()) {
            const auto at = std::lower_bound(starts.begin(), starts.end(), offset);
            if (at == starts.end() || *at != offset || (first.empty() ? offset != 0 : starts[first.back()] >= offset)) {
                first.clear();
                return false;
            }
            first.push_back(static_cast<size_t>(at - starts.begin()));
        }
        return !first.empty();
    }
    /* Whether a fragment is the first of a frame. */
    bool begins(const Bytes &b) const
    {
        if (file.facts.xfer == EXS_RLELossless)
            return b.size() >= 64 && word_at(b, 0) == file.facts.samples * file.facts.allocated / 8
                   && word_at(b, 1) == 0 && word_at(b, 2) == 64 && word_at(b, 3) == 0;
        return b.size() > 3 && ((b[0] == 0xFF && b[1] == 0xD8) || (b[0] == 0xFF && b[1] == 0x4F && b[2] == 0xFF)
                                || (b[0] == 0 && b[1] == 0 && b[2] == 0 && b[3] == 12));
    }
    void divide()
    {
        const size_t frames = static_cast<size_t>(file.facts.frames);
        if (frames == 1) {
            first.push_back(0);
        } else if (items.size() == frames) {
            for (size_t k = 0; k < frames; ++k)
                first.push_back(k);
        } else if (items.size() < frames || !divided_by_table()) {
            for (size_t k = 0; k < items.size(); ++k)
                if (begins(contents(k)))
                    first.push_back(k);
        }
        if (items.empty() || first.size() != frames || first[0] != 0)
            throw Refusal(text("PixelData: expected fragments for %zu frames, found %zu that belong to %zu", frames,
                               items.size(), first.size()));
        first.push_back(items.size());
        if (frames == 1 && items.size() > 1)
            drop_further();
    }
    /* One frame, and fragments that each begin a picture: the first counts. */
    void drop_further()
    {
        for (size_t k = 1; k < items.size(); ++k)
            if (begins(contents(k))) {
                file.facts.notes.push_back("PixelData has more than the 1 frame that it is said to have");
                first.back() = k;
                return;
            }
    }
};

/* PS3.5 annex G: a segment for each byte of each sample, the high bytes first. */
Decoded rle(const Facts &f, const Bytes &b)
{
    Decoded out;
    const size_t wide = static_cast<size_t>(f.allocated) / 8, n = f.pixels(), samples = static_cast<size_t>(f.samples);
    if (b.size() < 64 || wide == 0 || word_at(b, 0) != wide * samples || word_at(b, 1) != 0)
        throw Refusal(text("RLE: expected %zu segments, found %u", wide * samples, b.size() < 64 ? 0 : word_at(b, 0)));
    out.cells.assign(f.cells(), 0);
    for (size_t s = 0; s < wide * samples; ++s) {
        size_t at = word_at(b, 2 + 2 * s) | static_cast<size_t>(word_at(b, 3 + 2 * s)) << 16, done = 0;
        const unsigned shift = static_cast<unsigned>(8 * (wide - 1 - s % wide));
        uint32_t *to = out.cells.data() + s / wide;
        while (done < n) {
            if (at + 1 >= b.size())
                throw Refusal(text("RLE: segment %zu ends early", s));
            const unsigned code = b[at++];
            const bool same = code > 128;
            const size_t count = same ? 257 - code : code == 128 ? 0 : code + 1;
            if (!same && at + count > b.size())
                throw Refusal(text("RLE: segment %zu ends early", s));
            for (size_t k = 0; k < count && done < n; ++k, ++done)
                to[done * samples] |= static_cast<uint32_t>(b[same ? at : at + k]) << shift;
            at += same ? 1 : count;
        }
    }
    return out;
}

/* What a JPEG's frame header and Adobe's marker say. */
struct Jpeg {
    int frame; /* SOF's number: 0 baseline, 1 extended, 2 progressive, 3 lossless, 55 JPEG-LS */
    int precision, components, adobe; /* transform, or -1 */
    long rows, columns;
};

Jpeg scan_jpeg(const Bytes &b)
{
    Jpeg j = {-1, 0, 0, -1, 0, 0};
    size_t at = 2;
    if (b.size() < 4 || b[0] != 0xFF || b[1] != 0xD8)
        throw Refusal("JPEG: expected a codestream, found other bytes");
    while (at + 4 <= b.size() && b[at] == 0xFF) {
        const unsigned marker = b[at + 1];
        if (marker == 0xFF) {
            ++at;
            continue;
        }
        const size_t length = static_cast<size_t>(b[at + 2] << 8 | b[at + 3]);
        if (marker == 0xDA || length < 2 || at + 2 + length > b.size())
            break;
        const uint8_t *p = b.data() + at + 4;
        const bool sof = (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC)
                         || marker == 0xF7;
        if (sof && length >= 8) {
            j.frame = marker == 0xF7 ? 55 : static_cast<int>(marker - 0xC0);
            j.precision = p[0];
            j.rows = p[1] << 8 | p[2];
            j.columns = p[3] << 8 | p[4];
            j.components = p[5];
        } else if (marker == 0xEE && length >= 14 && memcmp(p, "Adobe", 5) == 0) {
            j.adobe = p[11];
        }
        at += 2 + length;
    }
    return j;
}

/* A codestream's size must be the header's. */
void agree(const Facts &f, const char *name, long rows, long columns, long components)
{
    if (rows != f.rows || columns != f.columns)
        throw Refusal(text("%s: expected %ldx%ld pixels as Columns and Rows say, found %ldx%ld", name, f.columns,
                           f.rows, columns, rows));
    if (components != f.samples)
        throw Refusal(text("%s: expected %ld samples a pixel, found %ld", name, f.samples, components));
}

std::vector<uint32_t> widened(const Bytes &b, size_t cells, bool words)
{
    std::vector<uint32_t> out(cells);
    for (size_t i = 0; i < cells; ++i)
        out[i] = words ? word_at(b, i) : b[i];
    return out;
}

Decoded jpeg(const Facts &f, Bytes b)
{
    const Jpeg j = scan_jpeg(b);
    if (j.frame < 0 || j.frame > 3)
        throw Refusal(text("%s: expected baseline, extended, progressive or lossless by Huffman's codes, found %s",
                           f.syntax_name.c_str(),
                           j.frame < 0 ? "no frame header" : j.frame == 55 ? "JPEG-LS" : "another process"));
    agree(f, "JPEG", j.rows, j.columns, j.components);
    if (j.precision < 2 || j.precision > f.allocated)
        throw Refusal(text("JPEG: expected 2 to %d bits a sample, found %d", f.allocated, j.precision));
    const DJCodecParameter parameter(ECC_lossyYCbCr, EDC_never, EUC_never, EPC_colorByPixel);
    std::unique_ptr<DJDecoder> decoder;
    if (j.precision <= 8)
        decoder.reset(new DJDecompressIJG8Bit(parameter, OFFalse));
    else if (j.precision <= 12)
        decoder.reset(new DJDecompressIJG12Bit(parameter, OFFalse));
    else
        decoder.reset(new DJDecompressIJG16Bit(parameter, OFFalse));
    const bool words = j.precision > 8;
    Bytes pixels(f.cells() * (words ? 2 : 1));
    OFCondition status = decoder->init();
    if (status.good())
        status = decoder->decode(b.data(), static_cast<Uint32>(b.size()), pixels.data(),
                                 static_cast<Uint32>(pixels.size()), f.is_signed);
    if (status == EJ_Suspension)
        throw Refusal("JPEG: the codestream ends early");
    if (status.bad())
        throw Refusal(text("JPEG: %s", status.text()));
    Decoded out;
    out.cells = widened(pixels, f.cells(), words);
    out.precision = j.precision;
    out.lossy = j.frame != 3;
    out.rgb = j.adobe >= 0 ? j.adobe == 0 : f.photometric == "RGB";
    return out;
}

void put(DcmDataset &d, const DcmTagKey &tag, long v)
{
    if (d.putAndInsertUint16(tag, static_cast<Uint16>(v)).bad())
        throw std::bad_alloc();
}

/* DCMTK decodes JPEG-LS only as a data set's: this one has the frame alone, and says what the codestream says. */
Decoded jpeg_ls(const Facts &f, Bytes b)
{
    const Jpeg j = scan_jpeg(b);
    if (j.frame != 55)
        throw Refusal("JPEG-LS: expected its frame header, found another or none");
    agree(f, "JPEG-LS", j.rows, j.columns, j.components);
    if (j.precision < 8 || j.precision > f.allocated)
        throw Refusal(text("%s: samples of %d bits are not decoded here: expected 8%s", f.syntax_name.c_str(),
                           j.precision, f.allocated > 8 ? " to 16" : ""));
    const bool words = j.precision > 8;
    DcmDataset d;
    put(d, DCM_SamplesPerPixel, f.samples);
    put(d, DCM_Rows, f.rows);
    put(d, DCM_Columns, f.columns);
    put(d, DCM_BitsAllocated, words ? 16 : 8);
    put(d, DCM_BitsStored, j.precision);
    put(d, DCM_HighBit, j.precision - 1);
    put(d, DCM_PixelRepresentation, 0);
    put(d, DCM_PlanarConfiguration, 0);
    d.putAndInsertString(DCM_PhotometricInterpretation, f.samples == 3 ? "RGB" : "MONOCHROME2");
    d.putAndInsertString(DCM_NumberOfFrames, "1");
    if (b.size() % 2)
        b.push_back(0);
    DcmPixelSequence *sequence = new DcmPixelSequence(DcmTag(DCM_PixelData, EVR_OB));
    sequence->insert(new DcmPixelItem(DcmTag(DCM_Item, EVR_OB)));
    DcmPixelItem *item = new DcmPixelItem(DcmTag(DCM_Item, EVR_OB));
    item->putUint8Array(b.data(), static_cast<unsigned long>(b.size()));
    sequence->insert(item);
    DcmPixelData *pixels = new DcmPixelData(DCM_PixelData);
    pixels->putOriginalRepresentation(f.xfer, NULL, sequence);
    d.insert(pixels);
    Bytes decoded(f.cells() * (words ? 2 : 1) + 1);
    Uint32 start = 0;
    OFString model;
    const OFCondition status = pixels->getUncompressedFrame(&d, 0, start, decoded.data(),
                                                            static_cast<Uint32>(decoded.size()), model);
    if (status.bad())
        throw Refusal(text("JPEG-LS: %s", status.text()));
    Decoded out;
    out.cells = widened(decoded, f.cells(), words);
    out.precision = j.precision;
    out.rgb = f.photometric.compare(0, 3, "YBR") != 0;
    return out;
}

/* ---- JPEG 2000 ---- */

struct Source {
    const uint8_t *data;
    size_t bytes, at;
};

OPJ_SIZE_T source_read(void *to, OPJ_SIZE_T n, void *user)
{
    Source *s = static_cast<Source *>(user);
    const size_t count = std::min(static_cast<size_t>(n), s->bytes - s->at);
    if (count == 0)
        return static_cast<OPJ_SIZE_T>(-1);
    memcpy(to, s->data + s->at, count);
    s->at += count;
    return count;
}

OPJ_OFF_T source_skip(OPJ_OFF_T n, void *user)
{
    Source *s = static_cast<Source *>(user);
    if (n < 0)
        return -1;
    const size_t count = std::min(static_cast<size_t>(n), s->bytes - s->at);
    s->at += count;
    return count == 0 && n > 0 ? -1 : static_cast<OPJ_OFF_T>(count);
}

OPJ_BOOL source_seek(OPJ_OFF_T at, void *user)
{
    Source *s = static_cast<Source *>(user);
    if (at < 0 || static_cast<size_t>(at) > s->bytes)
        return OPJ_FALSE;
    s->at = static_cast<size_t>(at);
    return OPJ_TRUE;
}

/* The last thing that OpenJPEG complained of. */
void complain(const char *message, void *user)
{
    std::string *s = static_cast<std::string *>(user);
    *s = message;
    s->erase(s->find_last_not_of("\r\n ") + 1);
}

/* What the codestream's coding style says of colour: RGB is what a component transform gives. */
bool transforms_components(const Bytes &b, size_t at)
{
    at += 2;
    while (at + 4 <= b.size() && b[at] == 0xFF && b[at + 1] != 0x90) {
        const size_t length = static_cast<size_t>(b[at + 2] << 8 | b[at + 3]);
        if (b[at + 1] == 0x52)
            return at + 9 <= b.size() && b[at + 8] == 1;
        at += 2 + length;
    }
    return false;
}

Decoded gathered(const Facts &f, const opj_image_t *image)
{
    Decoded out;
    const size_t samples = static_cast<size_t>(f.samples), w = static_cast<size_t>(f.columns);
    out.cells.resize(f.cells());
    for (size_t s = 0; s < samples; ++s) {
        const opj_image_comp_t &c = image->comps[s];
        if (!c.data || c.dx < 1 || c.dy < 1 || c.w != (w + c.dx - 1) / c.dx
            || c.h != (static_cast<size_t>(f.rows) + c.dy - 1) / c.dy || c.prec != image->comps[0].prec)
            throw Refusal("JPEG 2000: its components do not fit each other");
        const uint32_t mask = c.prec >= 32 ? UINT32_MAX : (1u << c.prec) - 1;
        const uint32_t sign = c.sgnd && f.colour ? 1u << (c.prec - 1) : 0;
        for (size_t y = 0; y < static_cast<size_t>(f.rows); ++y)
            for (size_t x = 0; x < w; ++x)
                out.cells[(y * w + x) * samples + s] =
                    (static_cast<uint32_t>(c.data[y / c.dy * c.w + x / c.dx]) + sign) & mask;
    }
    out.precision = static_cast<int>(image->comps[0].prec);
    return out;
}

struct J2k {
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create(1 << 16, OPJ_TRUE);
    opj_image_t *image = NULL;
    ~J2k()
    {
        opj_image_destroy(image);
        opj_stream_destroy(stream);
        opj_destroy_codec(codec);
    }
};

Decoded jpeg_2000(const Facts &f, const Bytes &b)
{
    static const uint8_t START[] = {0xFF, 0x4F, 0xFF, 0x51}; /* a JP2 file's boxes may come before it */
    const auto found = std::search(b.begin(), b.end(), START, START + sizeof START);
    if (found == b.end())
        throw Refusal("JPEG 2000: expected a codestream, found other bytes");
    const size_t first = static_cast<size_t>(found - b.begin());
    Source source = {b.data() + first, b.size() - first, 0};
    std::string complaint = "it cannot be decoded";
    J2k j;
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    if (!j.codec || !j.stream)
        throw std::bad_alloc();
    opj_set_error_handler(j.codec, complain, &complaint);
    opj_stream_set_user_data(j.stream, &source, NULL);
    opj_stream_set_user_data_length(j.stream, source.bytes);
    opj_stream_set_read_function(j.stream, source_read);
    opj_stream_set_skip_function(j.stream, source_skip);
    opj_stream_set_seek_function(j.stream, source_seek);
    if (!opj_setup_decoder(j.codec, &parameters) || !opj_read_header(j.stream, j.codec, &j.image))
        throw Refusal("JPEG 2000: " + complaint);
    agree(f, "JPEG 2000", static_cast<long>(j.image->y1) - static_cast<long>(j.image->y0),
          static_cast<long>(j.image->x1) - static_cast<long>(j.image->x0), j.image->numcomps);
    const unsigned bits = j.image->comps[0].prec;
    if (bits < 1 || bits > static_cast<unsigned>(f.allocated))
        throw Refusal(text("JPEG 2000: expected 1 to %d bits a sample, found %u", f.allocated, bits));
    if (!opj_decode(j.codec, j.stream, j.image) || !opj_end_decompress(j.codec, j.stream))
        throw Refusal("JPEG 2000: " + complaint);
    Decoded out = gathered(f, j.image);
    out.rgb = transforms_components(b, first) || f.photometric == "YBR_RCT" || f.photometric == "YBR_ICT";
    return out;
}

Decoded decompressed(const Facts &f, const Bytes &b)
{
    switch (f.xfer) {
    case EXS_RLELossless: return rle(f, b);
    case EXS_JPEGLSLossless:
    case EXS_JPEGLSLossy: return jpeg_ls(f, b);
    case EXS_JPEG2000LosslessOnly:
    case EXS_JPEG2000: return jpeg_2000(f, b);
    default: return jpeg(f, b);
    }
}

/* ---- from cells to values ---- */

/* Where in a cell its value is: this many bits, from bit `shift` on. */
struct Layout {
    int shift, bits;
};

Layout layout_of(const Facts &f, const Decoded &d)
{
    if (d.precision == 0 || (d.precision > f.stored && f.high < d.precision))
        return Layout{f.high + 1 - f.stored, f.stored};
    return Layout{0, std::min(d.precision, f.stored)};
}

/* The stored values of grey, or indices of a palette. */
std::vector<int64_t> values_of(const Facts &f, const Decoded &d)
{
    const Layout at = layout_of(f, d);
    const uint64_t mask = (UINT64_C(1) << at.bits) - 1, sign = f.is_signed ? UINT64_C(1) << (at.bits - 1) : 0;
    /* What is lossy may come out beyond the largest value; its bits above are no noise. */
    const bool clamp = d.lossy && !f.is_signed && at.shift == 0;
    std::vector<int64_t> out(d.cells.size());
    for (size_t i = 0; i < out.size(); ++i) {
        const uint64_t cell = clamp ? std::min(static_cast<uint64_t>(d.cells[i]), mask)
                                    : d.cells[i] >> at.shift & mask;
        out[i] = static_cast<int64_t>(cell ^ sign) - static_cast<int64_t>(sign);
    }
    return out;
}

uint8_t clipped(double v, double most, int down)
{
    const double r = std::floor(v + 0.5);
    return static_cast<uint8_t>(static_cast<unsigned>(r < 0 ? 0 : r > most ? most : r) >> down);
}

/* PS3.3 C.7.6.3.1.2: RGB of bytes from RGB or YBR. Of more than 8 bits the high ones stay. */
Bytes rgb_of(const Facts &f, const Decoded &d)
{
    const Layout at = layout_of(f, d);
    const unsigned mask = (1u << at.bits) - 1;
    const bool ybr = !d.rgb && f.photometric.compare(0, 3, "YBR") == 0, partial = f.photometric == "YBR_PARTIAL_422";
    const double most = mask, middle = std::ldexp(1.0, at.bits - 1), unit = std::ldexp(1.0, at.bits - 8);
    const double up = at.bits < 8 ? 255.0 / most : 1, top = at.bits < 8 ? 255 : most;
    const int down = at.bits > 8 ? at.bits - 8 : 0;
    Bytes out(d.cells.size());
    for (size_t i = 0; i + 2 < out.size(); i += 3) {
        double v[3];
        for (size_t c = 0; c < 3; ++c)
            v[c] = d.cells[i + c] >> at.shift & mask;
        if (ybr) {
            const double y = partial ? (v[0] - 16 * unit) * 255 / 219 : v[0], k = partial ? 255.0 / 224 : 1;
            const double b = (v[1] - middle) * k, r = (v[2] - middle) * k;
            v[0] = y + 1.402 * r;
            v[1] = y - 0.114 * 1.772 / 0.587 * b - 0.299 * 1.402 / 0.587 * r;
            v[2] = y + 1.772 * b;
        }
        for (size_t c = 0; c < 3; ++c)
            out[i + c] = clipped(v[c] * up, top, down);
    }
    return out;
}

Bytes coloured(const Palette &p, const std::vector<int64_t> &indices)
{
    Bytes out(indices.size() * 3);
    for (size_t i = 0; i < indices.size(); ++i)
        for (size_t c = 0; c < 3; ++c) {
            const Table &t = p.colour[c];
            const int64_t last = static_cast<int64_t>(t.entries.size()) - 1;
            const int64_t at = std::min(std::max<int64_t>(indices[i] - t.first, 0), last);
            out[3 * i + c] = static_cast<uint8_t>(static_cast<unsigned>(t.entries[static_cast<size_t>(at)]) >> p.shift);
        }
    return out;
}

/* ---- what is written ---- */

/* An NPY file whose header is written last, when the number of frames is known. */
class Npy {
public:
    explicit Npy(const std::string &path) : file(fopen(path.c_str(), "wb"))
    {
        const std::string room(HEADER, '\0');
        write(room.data(), room.size());
    }
    ~Npy()
    {
        if (file)
            fclose(file);
    }
    void write(const void *data, size_t bytes)
    {
        if (!file || fwrite(data, 1, bytes, file) != bytes)
            throw Refusal("the temporary file of its pixels cannot be written");
    }
    void finish(const std::string &type, const std::string &shape)
    {
        std::string head("\x93NUMPY\x01\x00", 8);
        head += static_cast<char>(HEADER - 10);
        head += '\0';
        head += text("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", type[1] == '1' ? "|" : "<",
                     type.c_str(), shape.c_str());
        head.resize(HEADER - 1, ' ');
        head += '\n';
        if (!file || fseek(file, 0, SEEK_SET) != 0)
            throw Refusal("the temporary file of its pixels cannot be written");
        write(head.data(), head.size());
        FILE *closed = file;
        file = NULL;
        if (fclose(closed) != 0)
            throw Refusal("the temporary file of its pixels cannot be written");
    }

private:
    enum { HEADER = 128 };
    FILE *file;
};

template <typename T> Bytes packed_as(const std::vector<int64_t> &v)
{
    Bytes out(v.size() * sizeof(T));
    for (size_t i = 0; i < v.size(); ++i) {
        const T one = static_cast<T>(v[i]);
        memcpy(out.data() + i * sizeof(T), &one, sizeof(T));
    }
    return out;
}

Bytes packed(const std::vector<int64_t> &v, const std::string &type)
{
    if (type == "u1")
        return packed_as<uint8_t>(v);
    if (type == "i1")
        return packed_as<int8_t>(v);
    if (type == "i2")
        return packed_as<int16_t>(v);
    return type == "i4" ? packed_as<int32_t>(v) : packed_as<int64_t>(v);
}

/* Where pixels go; a palette's colours go to a second file, OUT.rgb. */
struct Output {
    std::string path, type;
    long frame; /* -1: all */
    long rows, columns, frames;
    bool colour;
    std::unique_ptr<Npy> values, rgb;
    std::string shape(bool channels) const
    {
        return text("%ld, %ld, %ld%s", frames, rows, columns, channels ? ", 3" : "");
    }
};

void begin(Output &out, const Facts &f)
{
    if (out.values) {
        if (out.rows != f.rows || out.columns != f.columns || out.colour != f.colour || f.palette != !!out.rgb)
            throw Refusal("it differs from the file before in size or kind");
        return;
    }
    out.rows = f.rows;
    out.columns = f.columns;
    out.colour = f.colour;
    if (out.type == "-" || f.colour)
        out.type = type_name(f);
    out.values.reset(new Npy(out.path));
    if (f.palette)
        out.rgb.reset(new Npy(out.path + ".rgb"));
}

template <typename Source> void write_frames(Output &out, File &file, Source next)
{
    const Facts &f = file.facts;
    Palette palette;
    if (f.palette)
        palette = palette_of(file.dataset, f.is_signed);
    if (out.frame >= f.frames)
        throw Refusal(text("frame: expected 0 to %ld, found %ld", f.frames - 1, out.frame));
    begin(out, f);
    const long first = out.frame < 0 ? 0 : out.frame, last = out.frame < 0 ? f.frames : out.frame + 1;
    for (long i = first; i < last; ++i) {
        const Decoded d = next(i);
        ++out.frames;
        if (f.colour) {
            const Bytes b = rgb_of(f, d);
            out.values->write(b.data(), b.size());
            continue;
        }
        const std::vector<int64_t> v = values_of(f, d);
        const Bytes b = packed(v, out.type);
        out.values->write(b.data(), b.size());
        if (f.palette) {
            const Bytes c = coloured(palette, v);
            out.rgb->write(c.data(), c.size());
        }
    }
}

void write_pixels(Output &out, File &file)
{
    const bool compressed = DcmXfer(file.facts.xfer).isEncapsulated();
    if ((compressed || file.facts.xfer == EXS_DeflatedLittleEndianExplicit) && !file.complaint.empty())
        throw Refusal("expected a whole DICOM file, found: " + file.complaint);
    if (compressed) {
        Fragments fragments(file);
        write_frames(out, file, [&](long i) { return decompressed(file.facts, fragments.frame(i)); });
    } else {
        Native native(file);
        write_frames(out, file, [&](long i) { return native.frame(i); });
    }
    if (!file.complaint.empty())
        file.facts.notes.push_back("behind its pixels the file is damaged: " + file.complaint);
}

bool one_file(const char *path, Output *out)
{
    std::string line;
    bool good = false;
    try {
        File file;
        open_file(file, path);
        read_facts(file);
        if (out)
            write_pixels(*out, file);
        line = json(file.facts);
        good = true;
    } catch (const Refusal &e) {
        line = text("{\"picture\":%s,\"error\":", e.picture ? "true" : "false") + quoted(e.what()) + "}";
    } catch (const std::bad_alloc &) {
        line = "{\"picture\":true,\"error\":\"more memory is needed to decode it than is allowed\"}";
    } catch (const std::exception &e) {
        line = "{\"picture\":true,\"error\":" + quoted(std::string("it cannot be decoded: ") + e.what()) + "}";
    }
    puts(line.c_str());
    fflush(stdout);
    return good;
}

int pixels(int argc, char **argv)
{
    Output out;
    out.path = argv[2];
    out.type = argv[3];
    out.frame = strcmp(argv[4], "-") == 0 ? -1 : atol(argv[4]);
    out.rows = out.columns = out.frames = 0;
    for (int i = 5; i < argc; ++i)
        if (!one_file(argv[i], &out))
            return EXIT_FAILURE;
    try {
        out.values->finish(out.type, out.shape(out.colour));
        if (out.rgb)
            out.rgb->finish("u1", out.shape(true));
    } catch (const Refusal &e) {
        printf("{\"picture\":true,\"error\":%s}\n", quoted(e.what()).c_str());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

} /* namespace */

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("msagen-dicom %s\n", MSAGEN_VERSION) < 0;
    /* Of each library its name, the version of its headers, and of what answers now, if it does. */
    if (argc == 2 && strcmp(argv[1], "--libraries") == 0)
        return printf("dcmtk %s\nopenjpeg %d.%d.%d %s\n", OFFIS_DCMTK_VERSION_STRING, OPJ_VERSION_MAJOR,
                      OPJ_VERSION_MINOR, OPJ_VERSION_BUILD, opj_version()) < 0;
    set_up();
    if (argc > 5 && strcmp(argv[1], "pixels") == 0)
        return pixels(argc, argv);
    if (argc < 3 || strcmp(argv[1], "facts") != 0) {
        fputs("usage: msagen-dicom facts FILE...\n       msagen-dicom pixels OUT TYPE|- FRAME|- FILE...\n", stderr);
        return 2;
    }
    int status = EXIT_SUCCESS;
    for (int i = 2; i < argc; ++i)
        if (!one_file(argv[i], NULL))
            status = EXIT_FAILURE;
    return status;
}
