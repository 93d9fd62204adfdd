"""XMP packets with the AIGC object (practice guide TC260-PG-20258A) and the IPTC digital source type. Pure functions."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
MEDIA = "http://ns.adobe.com/xap/1.0/mm/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}"><rdf:Description rdf:about=""{namespaces}>
{properties}
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def packet(*, aigc: str = "", source_type: str = "", document_id: str = "") -> bytes:
    """An XMP packet with the properties that are not empty; empty if none is.

    ``aigc``: the AIGC object as JSON.
    """
    properties = [
        ("TC260", TC260, "AIGC", aigc),
        ("Iptc4xmpExt", IPTC, "DigitalSourceType", source_type),
        ("xmpMM", MEDIA, "DocumentID", document_id),
    ]
    written = [part for part in properties if part[3]]
    if not written:
        return b""
    text = PACKET.format(
        rdf=RDF,
        namespaces="".join(f' xmlns:{prefix}="{uri}"' for prefix, uri, _name, _value in written),
        properties="\n".join(
            f"<{prefix}:{name}>{escape(NOT_IN_XML.sub('', value))}</{prefix}:{name}>"
            for prefix, _uri, name, value in written
        ),
    )
    return text.encode()
