"""The shipped table of trade abbreviations, and the value that a tenant extends it with.

An abbreviation keeps its own token and gains its expansion's as an alternative, on both sides; so `galv.`, `galv` and
`galvanizado` meet, and a wrong guess costs nothing. Three shapes: `p/` glued to the next word, a word that is an
abbreviation wherever it stands, and one that is so only with its point (`int.` is interior, `int` may be anything).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Abbreviations:
    """Three tables from an abbreviation, folded and without its point or slash, to the folded word that it stands for.

    `revision` names the content: it goes into the cache keys and the index's metadata, so two different tables must
    not share one.
    """

    revision: str
    slashed: Mapping[str, str]
    everywhere: Mapping[str, str]
    pointed: Mapping[str, str]

    def __hash__(self) -> int:
        return hash(self.revision)


def _table(lines: str) -> Mapping[str, str]:
    """Read lines of `meaning: abbreviation abbreviation ...`."""
    entries = (line.split(":") for line in lines.strip().splitlines())
    return MappingProxyType({short: meant.strip() for meant, shorts in entries for short in shorts.split()})


SHIPPED: Final = Abbreviations(
    revision="1",
    slashed=_table(
        """
        con: c
        para: p
        sin: s
        tipo: t
        with: w
        """
    ),
    everywhere=_table(
        """
        acero: ac
        adaptador: adapt adap
        alambre: alamb
        aluminio: alum alumin
        amarillo: amar
        automatico: autom
        bronce: brce bce
        caja: cja cj
        calibre: cal calib
        conector: conec
        cromado: crom
        diametro: diam
        docena: doc dna
        electrico: elec elect electr
        galvanizado: galv galvan galvaniz
        hembra: hbra hemb
        hexagonal: hex hexag
        hidraulico: hidr hidrau
        hierro: hro
        inoxidable: inox
        juego: jgo jgos jg
        machihembrado: mh
        macho: mcho
        manguera: mang
        niquelado: niq niquel
        paquete: paq pqt pqte pkt
        pieza: pza pzas pz pzs pcs pc
        plastico: plast
        polietileno: polietil
        profesional: profes
        reforzado: reforz
        repuesto: rep repto rpto
        soldadura: sold
        taladro: talad
        tornillo: torn tornill
        tubo: tbo
        unidad: und unds unid unids uds ud uni
        valvula: valv valvul
        """
    ),
    pointed=_table(
        """
        amoladora: amol
        angular: ang
        blanco: bco blco
        boca: bca
        broca: bro
        cable: cab
        carbon: carb
        cerradura: cerr
        cilindro: cil
        combinada: comb
        corto: cto
        corrugado: corr
        cuadrado: cuad cuadr
        derecho: der
        destornillador: dest destorn
        diamantado: diam diamant
        doble: dob
        estandar: est std
        exterior: ext
        extension: exten
        flexible: flex
        forjado: forj
        hoja: hj
        hormigon: horm
        hormigonera: hormig
        impacto: imp
        importado: import
        industrial: ind indust
        inalambrico: inal inalam
        interior: int
        interruptor: inter interr
        izquierdo: izq
        largo: lgo
        lata: lta
        litro: ltro
        llave: llv
        magnetico: magn
        martillo: mart
        mecanico: mec
        mediano: med
        metalico: met metal
        modelo: mod
        negro: neg ngo
        neumatico: neum
        nacional: nac
        percutor: perc percut
        pintura: pint
        portatil: port
        potencia: pot
        premium: prem
        presion: pres
        profesional: prof
        punta: pta
        redondo: red
        reduccion: reduc
        regulable: reg
        resistente: resist
        rojo: rjo
        sintetico: sint
        soporte: sop
        taladro: tal
        termomagnetico: term termomag
        tipo: tip
        tornillo: tor
        transparente: transp
        tuerca: tca
        universal: univ
        velocidad: vel
        """
    ),
)
